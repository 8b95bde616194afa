"""SQL that only PostgreSQL is given, and the way it wants parameters written."""

from __future__ import annotations

import re
from functools import lru_cache

from keyscope.store.line import MOST_ANCESTORS

_PARAMETER = re.compile(r"(?<!:):([a-z_]+)")


@lru_cache(maxsize=1024)
def in_postgres(statement: str) -> str:
    """The statement with ``%s`` for ``?``, and ``%(name)s`` for ``:name``.

    ``?b`` goes in binary. Arrays do: psycopg writes them ten times faster so.
    """
    return _PARAMETER.sub(r"%(\1)s", statement.replace("%", "%%")).replace("?b", "%b").replace("?", "%s")


BEGIN_READING = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"

BEGIN_WRITING = "BEGIN ISOLATION LEVEL READ COMMITTED, READ WRITE"
"""After the lock on the row of numbers nobody else commits, so each statement sees the newest state, and one state."""

LOCK = "SELECT change, event, (SELECT value FROM meta WHERE name = 'database_id') FROM numbers FOR UPDATE"

LINE = f"""
WITH RECURSIVE line(digest, parent_id, depth) AS (
    SELECT digest, parent_id, 0 FROM keys WHERE id = ?
    UNION ALL
    SELECT keys.digest, keys.parent_id, depth + 1 FROM keys JOIN line ON id = line.parent_id
    WHERE depth <= {MOST_ANCESTORS}
)
SELECT record FROM line JOIN records USING (digest) ORDER BY depth
"""  # noqa: S608  (a number of ours)
"""A key and its ancestors, nearest first, one more than there may be."""

ADD_CHANGES = (
    "INSERT INTO changes SELECT number, string_to_array(ids, ' ')"
    " FROM unnest(CAST(?b AS BIGINT[]), CAST(?b AS TEXT[])) AS made(number, ids)"
)
KEPT_CHANGES = 100_000
"""To follow more than that takes a node as long as to copy a million keys. One that is further behind finds that what
comes next is not there, and copies everything anew. The newest is always there, so none can take it for nothing new."""

DROP_EVERY = 1000
DROP_CHANGES = "DELETE FROM changes WHERE number <= least(?, (SELECT min(number) + 4999 FROM changes))"
"""Those up to a number, oldest first, a few at a time: where none was ever dropped there may be millions."""

KEEP_NUMBERS = "UPDATE numbers SET change = ?, event = ?"

CHANNEL = "keyscope_changes"
NOTIFY = f"SELECT pg_notify('{CHANNEL}', ?)"
"""Its text is the number of the last change."""

PLACE = """
SELECT (SELECT value FROM meta WHERE name = 'database_id')
    || '-' || substr(md5(system_identifier || ' ' || CAST(CAST('changes' AS regclass) AS oid)), 1, 8)
    || '-' || CAST(substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) AS integer), change
FROM numbers, pg_control_system()
"""
"""Which database it is, in which cluster and table (a dump that is restored is in another), in which of its lives (a
standby that takes over begins another timeline): its epoch. And how far it is."""

STAMP = "SELECT xmin, change FROM numbers"
"""Differs after every commit: each writes the row anew."""
