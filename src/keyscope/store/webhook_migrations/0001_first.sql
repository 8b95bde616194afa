-- Webhooks: who is told, what is to be told, and how far that has come. Times are Unix milliseconds.

CREATE TABLE endpoints (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    url TEXT NOT NULL,
    kinds TEXT NOT NULL,
    sealed BLOB NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- source says what a message is about, so that nothing is told twice because a process ended in between.
CREATE TABLE messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    source TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

-- What is still to be delivered. A delivered one is deleted.
CREATE TABLE deliveries (
    endpoint_id TEXT NOT NULL REFERENCES endpoints (id) ON DELETE CASCADE,
    number INTEGER NOT NULL REFERENCES messages (number),
    tries INTEGER NOT NULL,
    due_at_ms INTEGER NOT NULL,
    dead_at_ms INTEGER,
    outcome TEXT NOT NULL,
    PRIMARY KEY (endpoint_id, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX deliveries_due ON deliveries (due_at_ms) WHERE dead_at_ms IS NULL;
CREATE INDEX deliveries_by_message ON deliveries (number);

-- Keys that were used for the first time, still to be made a message of.
CREATE TABLE first_uses (
    key_id TEXT PRIMARY KEY,
    at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How far the changes of the database and the expiries of keys have been made messages of.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
