-- Keys that are bound to a run, as long as they are not revoked: by devbox and by lease (Unix milliseconds). Their records
-- have one field more (rows.py), which a program from before this step would not understand.

CREATE TABLE runs (
    key_id TEXT PRIMARY KEY REFERENCES keys (id),
    account_id TEXT NOT NULL,
    devbox_id TEXT,
    lease_until_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_devbox ON runs (account_id, devbox_id) WHERE devbox_id IS NOT NULL;
CREATE INDEX runs_by_lease ON runs (lease_until_ms) WHERE lease_until_ms IS NOT NULL;
UPDATE meta SET value = '22' WHERE name = 'record_fields';
