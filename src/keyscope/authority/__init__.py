"""The use cases: mint, describe, list, update, revoke, verify, explain. They speak to the world through ports."""
