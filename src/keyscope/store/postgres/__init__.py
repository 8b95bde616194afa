"""PostgreSQL as the record: the store of keys that several nodes share (decision 21)."""
