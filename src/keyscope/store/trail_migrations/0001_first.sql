-- The audit trail: a database of its own beside the keys', so that writing it does not stir what the gate reads.

-- record: canonical JSON. hash: SHA-256 of the hash before it and the record (32 zero bytes before the first).
-- What is searched by is read out of the record, so there is no second truth.
CREATE TABLE entries (
    number INTEGER PRIMARY KEY,
    record TEXT NOT NULL,
    hash BLOB NOT NULL,
    at_ms INTEGER NOT NULL AS (json_extract(record, '$.at_ms')),
    kind TEXT NOT NULL AS (json_extract(record, '$.kind')),
    account_id TEXT AS (json_extract(record, '$.account_id')),
    operation TEXT AS (json_extract(record, '$.operation')),
    code TEXT AS (json_extract(record, '$.code')),
    event INTEGER AS (json_extract(record, '$.event'))
) STRICT;

-- With what is often asked for, so that a search for little in much need not read the records.
CREATE INDEX entries_by_account ON entries (account_id, number, at_ms, kind, code);
CREATE INDEX entries_by_kind ON entries (kind, number);
CREATE INDEX entries_by_operation ON entries (operation, number) WHERE operation IS NOT NULL;
CREATE INDEX entries_by_event ON entries (number, event) WHERE event IS NOT NULL;

CREATE TRIGGER entries_stay_as_they_are BEFORE UPDATE ON entries
BEGIN
    SELECT RAISE(ABORT, 'the trail is append-only');
END;

-- The keys of an entry: the one that it is about, and those of the chain.
CREATE TABLE entry_keys (
    key_id TEXT NOT NULL,
    number INTEGER NOT NULL,
    PRIMARY KEY (key_id, number)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER entries_are_found_by_key AFTER INSERT ON entries
BEGIN
    INSERT OR IGNORE INTO entry_keys
    SELECT value, new.number FROM json_each(new.record, '$.chain')
    UNION SELECT json_extract(new.record, '$.key_id'), new.number WHERE json_extract(new.record, '$.key_id') IS NOT NULL;
END;

CREATE TRIGGER dropped_entries_are_not_found BEFORE DELETE ON entries
BEGIN
    DELETE FROM entry_keys WHERE number = old.number AND key_id IN (
        SELECT value FROM json_each(old.record, '$.chain') UNION SELECT json_extract(old.record, '$.key_id')
    );
END;

-- operation: empty for none. needs: scopes in the short form, sorted, with a space between.
CREATE TABLE uses (
    minute_ms INTEGER NOT NULL,
    key_id TEXT NOT NULL,
    operation TEXT NOT NULL,
    needs TEXT NOT NULL,
    account_id TEXT NOT NULL,
    calls INTEGER NOT NULL,
    PRIMARY KEY (minute_ms, key_id, operation, needs)
) STRICT, WITHOUT ROWID;

CREATE INDEX uses_by_key ON uses (account_id, key_id, minute_ms);

-- Minutes with counts that no entry seals yet.
CREATE TABLE unsealed (
    minute_ms INTEGER PRIMARY KEY
) STRICT;
