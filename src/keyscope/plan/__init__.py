"""The smallest key for calls that are known: read from a file, looked up in a policy, added up."""
