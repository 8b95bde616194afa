-- Who follows the changes, and how far each has come (store/replica/). A row stays until its node leaves, or was silent
-- for long. beat is counted up by each sign of life; lease_ms is how long a node may judge after one.
CREATE TABLE nodes (
    id TEXT COLLATE "C" PRIMARY KEY,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    lease_ms INTEGER NOT NULL,
    beat BIGINT NOT NULL,
    number BIGINT NOT NULL,
    seen_at TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 10);
