"""The audit trail in one SQLite file, shared by all processes of a host: WAL, durable on commit.

Whoever writes reads the head of the chain inside its own transaction, so entries of several processes make one chain.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from msgspec.structs import replace

from keyscope.authority.trail import (
    BEGUN,
    MINUTE_MS,
    SEALED,
    Batch,
    Entry,
    EntryPage,
    EntryQuery,
    UseCount,
    UseQuery,
)
from keyscope.errors import StoreUnavailable
from keyscope.store import trail_query as sql
from keyscope.store.batch import roll_back
from keyscope.store.trail_rows import GENESIS, chained, entry_of, record_of, sealed, use_of, use_row
from keyscope.store.trouble import closing_the_gate

SEAL_AFTER_MS = 5_000
"""How long after its end a minute is sealed. Counts that come later are added, and seal it again."""


class Head(NamedTuple):
    """The last entry: its number and hash; 0 and zero bytes if there is none."""

    number: int
    hash: bytes


class SqliteTrail:
    """Use ``trail_open``. ``connect`` makes another connection, for reading; None if there is only the one."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        connect: Callable[[], sqlite3.Connection] | None,
        check: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._connect = connect
        self._check = check
        self._lock = Lock()

    def begin(self, events: int, now_ms: int) -> None:
        """Write the first entry, if there is none. ``events`` is how many changes the database has had by then."""
        with self._writing() as connection:
            if head_of(connection).number == 0:
                entry = Entry(at_ms=now_ms, kind=BEGUN, changes={"database_events": events})
                write(connection, [entry])

    def append(self, batch: Batch, now_ms: int) -> None:
        with self._writing() as connection:
            last = last_event(connection)
            write(connection, [entry for entry in batch.entries if entry.event is None or entry.event > last])
            _add_uses(connection, batch.uses)
            _seal(connection, now_ms)

    def entries(self, query: EntryQuery) -> EntryPage:
        statement, parameters = sql.search(query)
        with self._reading() as connection:
            found = [entry_of(record) for (record,) in connection.execute(statement, parameters)]
        return EntryPage(tuple(found[: query.limit]), len(found) > query.limit)

    def entry(self, number: int) -> Entry | None:
        with self._reading() as connection:
            row = connection.execute("SELECT record FROM entries WHERE number = ?", (number,)).fetchone()
        return entry_of(row[0]) if row is not None else None

    def uses(self, query: UseQuery) -> list[UseCount]:
        statement, parameters = sql.sums(query)
        with self._reading() as connection:
            return [use_of(row) for row in connection.execute(statement, parameters)]

    def last_event(self) -> int:
        with self._reading() as connection:
            return last_event(connection)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, closing_the_gate():
            self._check()
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                roll_back(self._connection)

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing_the_gate():
            if self._connect is None:
                with self._lock:
                    yield self._connection
            else:
                with closing(self._connect()) as connection:
                    yield connection


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


def _add_uses(connection: sqlite3.Connection, uses: Iterable[UseCount]) -> None:
    rows = [use_row(count) for count in uses]
    connection.executemany(sql.ADD_USE, rows)
    minutes = {(row[0],) for row in rows}
    connection.executemany("INSERT OR IGNORE INTO unsealed VALUES (?)", sorted(minutes))


def _seal(connection: sqlite3.Connection, now_ms: int) -> None:
    over = connection.execute(
        "SELECT minute_ms FROM unsealed WHERE minute_ms <= ? ORDER BY 1", (now_ms - MINUTE_MS - SEAL_AFTER_MS,)
    ).fetchall()
    seal(connection, [minute_ms for (minute_ms,) in over], now_ms)


def seal(connection: sqlite3.Connection, minutes: Iterable[int], now_ms: int) -> None:
    """Seal the counts of these minutes, inside the caller's transaction."""
    for minute_ms in minutes:
        changes: dict[str, Any] = {
            "minute_ms": minute_ms,
            **sealed(connection.execute(sql.ROWS_OF_MINUTE, (minute_ms,))),
        }
        write(connection, [Entry(at_ms=now_ms, kind=SEALED, changes=changes)])
        connection.execute("DELETE FROM unsealed WHERE minute_ms = ?", (minute_ms,))


def not_in_place(path: Path) -> StoreUnavailable:
    return StoreUnavailable(f"the audit trail {path} is no longer the file that was opened")
