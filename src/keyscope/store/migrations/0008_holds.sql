-- Calls that are held until somebody approves them, or until a time has passed. Times are Unix milliseconds. The request
-- and the answer in a record are encrypted (authority/holds.py).

CREATE TABLE held (
    id TEXT PRIMARY KEY,
    account_id TEXT NOT NULL,
    key_id TEXT NOT NULL REFERENCES keys (id),
    state TEXT NOT NULL,
    due_at_ms INTEGER NOT NULL,
    digest BLOB NOT NULL,
    links TEXT NOT NULL,
    request_id TEXT,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX held_by_key ON held (key_id, digest);
CREATE INDEX held_by_account ON held (account_id, state);
CREATE INDEX held_by_due ON held (due_at_ms);
