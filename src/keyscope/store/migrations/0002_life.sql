-- Keys that have a life: rotation, resumption, derived keys, the rules of an account. Times are Unix milliseconds.

-- What a key's earlier secrets lead to. record: digest, key id, share and end, whole, with a checksum (rows.py).
-- They stay after their end, so that the use of an old secret is noticed.
CREATE TABLE former_secrets (
    digest BLOB PRIMARY KEY,
    key_id TEXT NOT NULL REFERENCES keys (id),
    record BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX former_secrets_by_key ON former_secrets (key_id);

CREATE TRIGGER former_secrets_stay BEFORE DELETE ON former_secrets
BEGIN
    SELECT RAISE(ABORT, 'former secrets are kept');
END;

-- Derived keys that were revoked alone, by the key that they come from and the id of their last link.
CREATE TABLE revoked_derived (
    key_id TEXT NOT NULL REFERENCES keys (id),
    link_id TEXT NOT NULL,
    revoked_at_ms INTEGER NOT NULL,
    PRIMARY KEY (key_id, link_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER revoked_derived_stay BEFORE DELETE ON revoked_derived
BEGIN
    SELECT RAISE(ABORT, 'a derived key that was revoked stays so');
END;

-- How often the secrets of a key were tried when they were good no longer.
CREATE TABLE dead_uses (
    key_id TEXT PRIMARY KEY REFERENCES keys (id),
    uses INTEGER NOT NULL,
    last_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Idle time counts from here at the earliest.
ALTER TABLE keys ADD COLUMN resumed_at_ms INTEGER;

-- A JSON object.
ALTER TABLE accounts ADD COLUMN rules TEXT NOT NULL DEFAULT '{}';
