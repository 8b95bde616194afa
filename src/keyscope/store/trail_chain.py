"""The chain of a trail's entries, and the seals of its counts: what is done inside one transaction of a writer."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import NamedTuple

from msgspec.structs import replace

from keyscope.authority.trail import MINUTE_MS, SEALED, Entry, UseCount
from keyscope.store import trail_query as sql
from keyscope.store.trail_rows import GENESIS, chained, entry_of, record_of, sealed, use_row

SEAL_AFTER_MS = 5_000
"""How long after its end a minute is sealed. Counts that come later are added, and seal it again."""


class Head(NamedTuple):
    """The last entry: its number and hash; 0 and zero bytes if there is none."""

    number: int
    hash: bytes


def head_of(connection: sqlite3.Connection) -> Head:
    row = connection.execute("SELECT number, hash FROM entries ORDER BY number DESC LIMIT 1").fetchone()
    return Head(*row) if row is not None else Head(0, GENESIS)


def last_event(connection: sqlite3.Connection) -> int:
    row = connection.execute(sql.LAST_EVENT).fetchone()
    return row[0] if row is not None else 0


def write(connection: sqlite3.Connection, entries: Iterable[Entry]) -> Head:
    """Chain the entries to what is there, inside the caller's transaction. Returns the new head."""
    number, last = head_of(connection)
    for entry in entries:
        number += 1
        record = record_of(replace(entry, number=number))
        last = chained(last, record)
        row = (number, record.decode(), last)
        connection.execute("INSERT INTO entries (number, record, hash) VALUES (?, ?, ?)", row)
    return Head(number, last)


def add_uses(connection: sqlite3.Connection, uses: Iterable[UseCount]) -> None:
    rows = [use_row(count) for count in uses]
    connection.executemany(sql.ADD_USE, rows)
    minutes = {(row[0],) for row in rows}
    connection.executemany("INSERT OR IGNORE INTO unsealed VALUES (?)", sorted(minutes))


def last_of_kind(connection: sqlite3.Connection, kind: str) -> Entry | None:
    row = connection.execute(sql.LAST_OF_KIND, (kind,)).fetchone()
    return entry_of(row[0]) if row is not None else None


def seal(connection: sqlite3.Connection, until_ms: int, now_ms: int) -> None:
    """Seal every minute that is over by ``until_ms``, or by the time of the last entry if that is later.

    So in whatever state the trail is read, an older minute without a seal was tampered with.
    """
    last = connection.execute("SELECT at_ms FROM entries ORDER BY number DESC LIMIT 1").fetchone()
    latest_ms = max(until_ms, last[0] if last is not None else 0) - MINUTE_MS - SEAL_AFTER_MS
    over = connection.execute("SELECT minute_ms FROM unsealed WHERE minute_ms <= ? ORDER BY 1", (latest_ms,)).fetchall()
    for (minute_ms,) in over:
        rows = connection.execute(sql.ROWS_OF_MINUTE, (minute_ms,))
        write(connection, [Entry(at_ms=now_ms, kind=SEALED, changes={"minute_ms": minute_ms, **sealed(rows)})])
        connection.execute("DELETE FROM unsealed WHERE minute_ms = ?", (minute_ms,))
