-- Secrets that were reported as leaked, by the SHA-256 of their text: of keys, earlier ones of keys, derived keys.
-- They stay, so that a report that comes again does nothing more. at_ms is Unix milliseconds.
CREATE TABLE leaks (
    digest BLOB PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES keys (id),
    at_ms INTEGER NOT NULL,
    revoked INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX leaks_by_key ON leaks (key_id, at_ms);

CREATE TRIGGER leaks_stay BEFORE DELETE ON leaks
BEGIN
    SELECT RAISE(ABORT, 'a leak that was reported stays so');
END;
