-- Sessions of browsers in the console. Times are Unix milliseconds. The id of a session and the secret that it was opened
-- with are kept as SHA-256 only.

CREATE TABLE sessions (
    digest BLOB PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES keys (id),
    key_digest BLOB NOT NULL,
    csrf BLOB NOT NULL,
    opened_at_ms INTEGER NOT NULL,
    seen_at_ms INTEGER NOT NULL,
    ends_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_key ON sessions (key_id, opened_at_ms);
CREATE INDEX sessions_by_end ON sessions (ends_at_ms);
