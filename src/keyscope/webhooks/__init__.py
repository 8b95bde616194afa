"""Tells endpoints of an account what happens to its keys, as Standard Webhooks (https://www.standardwebhooks.com)."""
