-- What keys have made: a database of its own beside the keys', so that making things does not stir what the gate reads.

-- makers: the ids of the derived links and keys whose own it is, with spaces between, the nearest first.
CREATE TABLE things (
    account_id TEXT NOT NULL,
    resource TEXT NOT NULL,
    id TEXT NOT NULL,
    makers TEXT NOT NULL,
    made_at_ms INTEGER NOT NULL,
    PRIMARY KEY (account_id, resource, id)
) STRICT, WITHOUT ROWID;
