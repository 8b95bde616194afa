-- What is spent: a database of its own beside the keys', so that counting does not stir what the gate reads.

-- used: calls that were let through while their number was limited. calls: the number of the latest in "calls".
CREATE TABLE holders (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    used INTEGER NOT NULL DEFAULT 0,
    calls INTEGER NOT NULL DEFAULT 0
) STRICT;

-- The latest calls of each holder whose rate is limited, numbered from 1; as many as the rate allows. Times never fall.
CREATE TABLE calls (
    holder INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    PRIMARY KEY (holder, number)
) STRICT, WITHOUT ROWID;

-- The processes that have let calls through which may not have ended. An id is never used again.
CREATE TABLE processes (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE
) STRICT;

CREATE TABLE places (
    holder INTEGER NOT NULL,
    process INTEGER NOT NULL,
    held INTEGER NOT NULL,
    PRIMARY KEY (holder, process)
) STRICT, WITHOUT ROWID;
