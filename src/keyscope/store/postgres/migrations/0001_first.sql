-- The first schema: what the migrations of SQLite up to that of held calls add up to. Times are Unix milliseconds. Ids and names are compared
-- byte by byte (COLLATE "C"), so every server sorts and folds them alike.
--
-- Foreign keys are left out: whoever writes holds the row of numbers, so what was checked before a change is true when
-- the change is made, and a foreign key would lock the row of the parent at every mint. keyscope db check looks at them.

CREATE TABLE meta (
    name TEXT COLLATE "C" PRIMARY KEY,
    value TEXT NOT NULL
);

-- Says which database this is, so that another one in its place is noticed. No secret.
INSERT INTO meta (name, value) VALUES ('database_id', replace(gen_random_uuid()::text, '-', ''));

-- One row: the last number of a change and of an event. Whoever writes locks it first and until the commit, so numbers
-- are given without gaps, and in the order of the commits.
CREATE TABLE numbers (
    one BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    change BIGINT NOT NULL,
    event BIGINT NOT NULL
) WITH (fillfactor = 10);

INSERT INTO numbers (change, event) VALUES (0, 0);

-- What nodes follow: each write that touched keys, their earlier secrets or derived keys, and the ids of those keys.
CREATE TABLE changes (
    number BIGINT PRIMARY KEY,
    key_ids TEXT [] COLLATE "C" NOT NULL
);

CREATE TABLE accounts (
    id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    rules TEXT NOT NULL DEFAULT '{}'
);

-- record is the key, whole, with a checksum (store/rows.py).
CREATE TABLE records (
    digest BYTEA PRIMARY KEY,
    record BYTEA NOT NULL
);

CREATE TABLE keys (
    id TEXT COLLATE "C" PRIMARY KEY,
    digest BYTEA NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    parent_id TEXT COLLATE "C",
    name TEXT COLLATE "C" NOT NULL,
    scopes TEXT COLLATE "C" NOT NULL,
    created_at_ms BIGINT NOT NULL,
    expires_at_ms BIGINT,
    suspended_at_ms BIGINT,
    revoked_at_ms BIGINT,
    resumed_at_ms BIGINT
);

CREATE INDEX keys_by_account ON keys (account_id, kind, id)
INCLUDE (parent_id, expires_at_ms, suspended_at_ms, revoked_at_ms);
CREATE INDEX keys_by_parent ON keys (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX keys_by_expiry ON keys (expires_at_ms) WHERE expires_at_ms IS NOT NULL;
CREATE INDEX keys_stopped ON keys (id) WHERE revoked_at_ms IS NOT NULL OR suspended_at_ms IS NOT NULL;

-- Counting a million rows takes too long for the first page of a list.
CREATE TABLE key_totals (
    account_id TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    total INTEGER NOT NULL,
    PRIMARY KEY (account_id, kind)
) WITH (fillfactor = 50);

-- chain: key ids with a space between. changes: a JSON object.
CREATE TABLE events (
    number BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    at_ms BIGINT NOT NULL,
    account_id TEXT COLLATE "C" NOT NULL,
    key_id TEXT COLLATE "C",
    chain TEXT NOT NULL,
    peer TEXT,
    request_id TEXT,
    changes BYTEA NOT NULL
);

CREATE INDEX events_by_account ON events (account_id, number);

CREATE TABLE replies (
    caller_id TEXT COLLATE "C" NOT NULL,
    request_id TEXT COLLATE "C" NOT NULL,
    request_digest BYTEA NOT NULL,
    sealed BYTEA NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (caller_id, request_id)
);

CREATE INDEX replies_by_age ON replies (created_at_ms);

CREATE TABLE key_usage (
    key_id TEXT COLLATE "C" PRIMARY KEY,
    used_at_ms BIGINT NOT NULL
) WITH (fillfactor = 50);

-- record: digest, key id, share and end, whole, with a checksum (store/rows.py).
CREATE TABLE former_secrets (
    digest BYTEA PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL,
    record BYTEA NOT NULL
);

CREATE INDEX former_secrets_by_key ON former_secrets (key_id);

CREATE TABLE revoked_derived (
    key_id TEXT COLLATE "C" NOT NULL,
    link_id TEXT COLLATE "C" NOT NULL,
    revoked_at_ms BIGINT NOT NULL,
    PRIMARY KEY (key_id, link_id)
);

CREATE TABLE dead_uses (
    key_id TEXT COLLATE "C" PRIMARY KEY,
    uses BIGINT NOT NULL,
    last_at_ms BIGINT NOT NULL
);

CREATE TABLE leaks (
    digest BYTEA PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL,
    at_ms BIGINT NOT NULL,
    revoked BOOLEAN NOT NULL
);

CREATE INDEX leaks_by_key ON leaks (key_id, at_ms);

CREATE TABLE sessions (
    digest BYTEA PRIMARY KEY,
    key_id TEXT COLLATE "C" NOT NULL,
    key_digest BYTEA NOT NULL,
    csrf BYTEA NOT NULL,
    opened_at_ms BIGINT NOT NULL,
    seen_at_ms BIGINT NOT NULL,
    ends_at_ms BIGINT NOT NULL
);

CREATE INDEX sessions_by_key ON sessions (key_id, opened_at_ms);
CREATE INDEX sessions_by_end ON sessions (ends_at_ms);

-- Keys that are bound to a run, as long as they are not revoked.
CREATE TABLE runs (
    key_id TEXT COLLATE "C" PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL,
    devbox_id TEXT COLLATE "C",
    lease_until_ms BIGINT
);

CREATE INDEX runs_by_devbox ON runs (account_id, devbox_id) WHERE devbox_id IS NOT NULL;
CREATE INDEX runs_by_lease ON runs (lease_until_ms) WHERE lease_until_ms IS NOT NULL;

-- Calls that are held until somebody approves them, or until a time has passed.
CREATE TABLE held (
    id TEXT COLLATE "C" PRIMARY KEY,
    account_id TEXT COLLATE "C" NOT NULL,
    key_id TEXT COLLATE "C" NOT NULL,
    state TEXT COLLATE "C" NOT NULL,
    due_at_ms BIGINT NOT NULL,
    digest BYTEA NOT NULL,
    links TEXT NOT NULL,
    request_id TEXT COLLATE "C",
    record BYTEA NOT NULL
);

CREATE INDEX held_by_key ON held (key_id, digest);
CREATE INDEX held_by_account ON held (account_id, state);
CREATE INDEX held_by_due ON held (due_at_ms);

-- SQLite's name for what PostgreSQL calls strpos, so that both take the same lists (store/query.py).
CREATE FUNCTION instr(whole TEXT, part TEXT) RETURNS INTEGER
LANGUAGE sql IMMUTABLE STRICT AS 'SELECT strpos($1, $2)';

CREATE FUNCTION refuse() RETURNS TRIGGER
LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '%', tg_argv[0]; END $$;

CREATE TRIGGER keys_stay BEFORE DELETE OR TRUNCATE ON keys
EXECUTE FUNCTION refuse('keys are revoked, never deleted');
CREATE TRIGGER records_stay BEFORE DELETE OR TRUNCATE ON records
EXECUTE FUNCTION refuse('keys are revoked, never deleted');
CREATE TRIGGER events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON events
EXECUTE FUNCTION refuse('events are append-only');
CREATE TRIGGER former_secrets_stay BEFORE DELETE OR TRUNCATE ON former_secrets
EXECUTE FUNCTION refuse('former secrets are kept');
CREATE TRIGGER revoked_derived_stay BEFORE DELETE OR TRUNCATE ON revoked_derived
EXECUTE FUNCTION refuse('a derived key that was revoked stays so');
CREATE TRIGGER leaks_stay BEFORE DELETE OR TRUNCATE ON leaks
EXECUTE FUNCTION refuse('a leak that was reported stays so');
