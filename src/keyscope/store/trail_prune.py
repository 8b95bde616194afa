"""Dropping what is older than it must be kept: up to a signed checkpoint, so that the rest verifies without it.

First an entry says up to where, then the rows go in small parts, so that nobody waits long for the file.
"""

from __future__ import annotations

import sqlite3

from keyscope.authority.trail import MINUTE_MS, PRUNED, Entry
from keyscope.store import trail_query as sql
from keyscope.store.trail_chain import last_of_kind, write

AT_ONCE = 2_000
"""Entries of one transaction, and minutes of counts of one."""


def prune(connection: sqlite3.Connection, before_ms: int, now_ms: int) -> bool:
    """Drop a part, inside the caller's transaction. Returns whether there may be more."""
    _decide(connection, before_ms, now_ms)
    through, uses_before_ms = pruned(connection)
    entries = connection.execute(sql.DROP_ENTRIES, (through, AT_ONCE)).rowcount
    minutes = connection.execute(sql.OLD_MINUTES, (uses_before_ms, AT_ONCE)).fetchall()
    connection.executemany("DELETE FROM uses WHERE minute_ms = ?", minutes)
    connection.executemany("DELETE FROM unsealed WHERE minute_ms = ?", minutes)
    return entries == AT_ONCE or len(minutes) == AT_ONCE


def pruned(connection: sqlite3.Connection) -> tuple[int, int]:
    """Up to which number entries are dropped, and before which time counts; zeros if nothing is."""
    last = last_of_kind(connection, PRUNED)
    return (0, 0) if last is None else (int(str(last.changes["through"])), int(str(last.changes["uses_before_ms"])))


def _decide(connection: sqlite3.Connection, before_ms: int, now_ms: int) -> None:
    """Write down up to where, if a checkpoint allows more than before."""
    row = connection.execute(sql.LAST_CHECKPOINT_BEFORE, (before_ms,)).fetchone()
    if row is None or row[0] - 1 <= pruned(connection)[0]:
        return
    number, at_ms = row
    changes = {"through": number - 1, "uses_before_ms": at_ms - at_ms % MINUTE_MS + MINUTE_MS}
    write(connection, [Entry(at_ms=now_ms, kind=PRUNED, changes=changes)])
