-- The first schema. Times are Unix milliseconds.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Says which database this is, so that a file put in its place is noticed. No secret.
INSERT INTO meta (name, value) VALUES ('database_id', lower(hex(randomblob(16))));

CREATE TABLE accounts (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What the gate reads: one descent of one B-tree of narrow rows. record is the key, whole, with a checksum (rows.py).
CREATE TABLE records (
    digest BLOB PRIMARY KEY,
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- By what keys are found otherwise. Ids sort by age, so this table grows at its end and lists read it in order.
-- scopes: words like 'devboxes:read objects:none', in the order asked for.
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    account_id TEXT NOT NULL REFERENCES accounts (id),
    kind TEXT NOT NULL,
    parent_id TEXT REFERENCES keys (id),
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    expires_at_ms INTEGER,
    suspended_at_ms INTEGER,
    revoked_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- With all that the states of keys depend on, so that a list by status reads this index alone.
CREATE INDEX keys_by_account ON keys
    (account_id, kind, id, parent_id, expires_at_ms, suspended_at_ms, revoked_at_ms);

CREATE INDEX keys_by_parent ON keys (parent_id) WHERE parent_id IS NOT NULL;

-- Counting a million index rows takes too long for the first page of a list.
CREATE TABLE key_totals (
    account_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (account_id, kind)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER keys_are_counted AFTER INSERT ON keys
BEGIN
    INSERT INTO key_totals (account_id, kind, total) VALUES (new.account_id, new.kind, 1)
    ON CONFLICT (account_id, kind) DO UPDATE SET total = total + 1;
END;

CREATE TRIGGER keys_stay BEFORE DELETE ON keys
BEGIN
    SELECT RAISE(ABORT, 'keys are revoked, never deleted');
END;

CREATE TRIGGER records_stay BEFORE DELETE ON records
BEGIN
    SELECT RAISE(ABORT, 'keys are revoked, never deleted');
END;

-- chain: key ids with a space between. changes: a JSON object.
CREATE TABLE events (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    kind TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    account_id TEXT NOT NULL,
    key_id TEXT,
    chain TEXT NOT NULL,
    peer TEXT,
    request_id TEXT,
    changes BLOB NOT NULL
) STRICT;

CREATE INDEX events_by_account ON events (account_id, number);

CREATE TRIGGER events_stay_as_they_are BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

CREATE TABLE replies (
    caller_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    request_digest BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_at_ms INTEGER NOT NULL,
    PRIMARY KEY (caller_id, request_id)
) STRICT, WITHOUT ROWID;

CREATE INDEX replies_by_age ON replies (created_at_ms);

CREATE TABLE key_usage (
    key_id TEXT PRIMARY KEY REFERENCES keys (id),
    used_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
