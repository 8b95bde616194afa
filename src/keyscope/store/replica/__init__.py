"""A node's own copy of the keys: a SQLite file that follows the record, and a lease on judging by it (decision 20)."""
