"""Counters in one SQLite file, shared by all processes of a host.

WAL, with ``synchronous=NORMAL``: what was counted survives every end of the processes at once, and a power failure once
``tidy`` has run, which is about every second. No call waits for the disk.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from threading import Lock

from keyscope.authority.counters import Budget, Kind, Spent, Used
from keyscope.errors import CountersUnavailable
from keyscope.store.running import Running
from keyscope.store.transaction import roll_back
from keyscope.store.trouble import TROUBLE

log = logging.getLogger(__name__)

PATIENCE_S = 0.25
"""How long a call waits for another process that counts. That takes some 50 µs, so then something is wrong."""
SULK_S = 1.0
"""For how long afterwards nobody waits: waiting holds up every other call of the process."""
_PAUSE_S = 0.000_05
EMPTIED_ABOVE_PAGES = 16_384
"""A longer WAL is emptied, for which those who count wait a moment."""

_SPEND = "UPDATE holders SET used = used + ?, calls = calls + ? WHERE id = ?"
_ADD_CALL = "INSERT INTO calls SELECT id, calls, ? FROM holders WHERE id = ?"
_OLDEST = "SELECT at_ms FROM calls WHERE holder = ? AND number > ? ORDER BY number LIMIT 1"
_LATEST = "SELECT at_ms FROM calls WHERE holder = ? ORDER BY number DESC LIMIT 1"
_FORGET_CALLS = "DELETE FROM calls WHERE holder = ? AND number <= ?"
_HELD = "SELECT coalesce(sum(held), 0) FROM places WHERE holder = ?"
_HOLD = "INSERT INTO places VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET held = held + 1"
_FREE = (
    "UPDATE places SET held = held - 1"
    " WHERE process = ? AND held > 0 AND holder = (SELECT id FROM holders WHERE name = ?)"
)


class _Row:
    """A holder as it is in the transaction. ``id`` 0: it is not known yet."""

    __slots__ = ("calls", "id", "used")

    def __init__(self, found: tuple[int, int, int] | None) -> None:
        self.id, self.used, self.calls = found or (0, 0, 0)


class SqliteCounters:
    """Use ``counters_open``. ``upkeep`` is another connection to the file, None if there is only the one.

    ``running`` tells which processes are there; without it there is only this one.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        upkeep: sqlite3.Connection | None,
        running: Running | None,
        check: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._upkeep = upkeep
        self._running = running
        self._check = check
        self._lock = Lock()
        self._owed: list[Budget] = []
        self._sulks_until_s = 0.0
        self._closed = False
        with self._transaction() as opened:
            self._sweep(opened)
            name = running.name if running is not None else "alone"
            self._process = opened.execute("INSERT INTO processes (name) VALUES (?)", (name,)).lastrowid

    def take(self, budgets: Sequence[Budget], now_ms: int) -> tuple[Spent, ...]:
        with self._transaction() as connection:
            rows = [_row(connection, budget.holder) for budget in budgets]
            spent = self._spent(connection, budgets, rows, now_ms)
            if not spent:
                for budget, row in zip(budgets, rows, strict=True):
                    self._spend(connection, budget, row, now_ms)
            return spent

    def look(self, budgets: Sequence[Budget], now_ms: int) -> tuple[Spent, ...]:
        with self._transaction() as connection:
            return self._spent(connection, budgets, [_row(connection, b.holder) for b in budgets], now_ms)

    def give_back(self, budgets: Sequence[Budget]) -> None:
        """Never raises: what cannot be written now is written later, and counts until then."""
        held = [budget for budget in budgets if budget.parallel is not None]
        try:
            self._free(held)
        except CountersUnavailable as error:
            log.error("places are given back later: %s", error.detail)
            self._owed += held

    def used(self, holders: Sequence[str]) -> Mapping[str, Used]:
        with self._transaction() as connection:
            rows = {name: _row(connection, name) for name in holders}
            return {name: Used(row.used, _held(connection, row)) for name, row in rows.items()}

    def tidy(self) -> None:
        owed, self._owed = self._owed, []
        self.give_back(owed)
        if self._upkeep is None:
            return
        with _closing():
            # This writes the WAL to the disk, and then what is in it to the file. Nobody waits for it.
            pages = self._upkeep.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()[1]
            if pages > EMPTIED_ABOVE_PAGES:
                self._upkeep.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()

    def close(self) -> None:
        """End. The places of calls that are under way are free."""
        if self._closed:
            return
        self._closed = True
        try:
            with self._transaction() as connection:
                _forget(connection, self._process)
        except CountersUnavailable as error:
            log.warning("the next process gives the places of this one back: %s", error.detail)
        with self._lock:
            for opened in (self._connection, self._upkeep):
                if opened is not None:
                    opened.close()
        if self._running is not None:
            self._running.close()

    def _spent(
        self, connection: sqlite3.Connection, budgets: Sequence[Budget], rows: Sequence[_Row], now_ms: int
    ) -> tuple[Spent, ...]:
        found = (self._spent_of(connection, b, row, now_ms) for b, row in zip(budgets, rows, strict=True))
        return tuple(chain.from_iterable(found))

    def _spent_of(self, connection: sqlite3.Connection, budget: Budget, row: _Row, now_ms: int) -> Iterator[Spent]:
        if budget.uses is not None and row.used >= budget.uses:
            yield Spent(budget.holder, Kind.USES)
        if budget.requests is not None and row.calls >= budget.requests:
            wait_ms = _wait_ms(connection, row, budget.requests, budget.per_ms, now_ms)
            if wait_ms > 0:
                yield Spent(budget.holder, Kind.RATE, wait_ms)
        if budget.parallel is not None and self._is_full(connection, row, budget.parallel):
            yield Spent(budget.holder, Kind.PARALLEL)

    def _is_full(self, connection: sqlite3.Connection, row: _Row, parallel: int) -> bool:
        if _held(connection, row) < parallel:
            return False
        self._sweep(connection)
        return _held(connection, row) >= parallel

    def _spend(self, connection: sqlite3.Connection, budget: Budget, row: _Row, now_ms: int) -> None:
        if not row.id:
            row.id = connection.execute("INSERT INTO holders (name) VALUES (?)", (budget.holder,)).lastrowid or 0
        counts = (int(budget.uses is not None), int(budget.requests is not None))
        if any(counts):
            connection.execute(_SPEND, (*counts, row.id))
        if budget.requests is not None:
            latest = connection.execute(_LATEST, (row.id,)).fetchone()
            connection.execute(_ADD_CALL, (max(now_ms, latest[0]) if latest else now_ms, row.id))
            connection.execute(_FORGET_CALLS, (row.id, row.calls + 1 - budget.requests))
        if budget.parallel is not None:
            connection.execute(_HOLD, (row.id, self._process))

    def _free(self, budgets: Iterable[Budget]) -> None:
        if budgets:
            with self._transaction() as connection:
                connection.executemany(_FREE, [(self._process, budget.holder) for budget in budgets])

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Free the places of processes that have ended without doing so."""
        if self._running is None:
            return
        for number, name in connection.execute("SELECT id, name FROM processes").fetchall():
            if name != self._running.name and self._running.has_ended(name):
                _forget(connection, number)
                self._running.forget(name)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """What is done in the block is done as a whole, and while nobody else counts."""
        with self._lock, _closing():
            self._check()
            self._begin()
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            finally:
                roll_back(self._connection)

    def _begin(self) -> None:
        """SQLite's own way to wait sleeps for milliseconds, many times what there is to wait for."""
        began_s = time.monotonic()
        patience_s = PATIENCE_S if began_s >= self._sulks_until_s else 0.0
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                is_busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not is_busy or time.monotonic() - began_s >= patience_s:
                    self._sulks_until_s = time.monotonic() + SULK_S
                    raise
            time.sleep(_PAUSE_S)


def _row(connection: sqlite3.Connection, holder: str) -> _Row:
    return _Row(connection.execute("SELECT id, used, calls FROM holders WHERE name = ?", (holder,)).fetchone())


def _held(connection: sqlite3.Connection, row: _Row) -> int:
    held: int = connection.execute(_HELD, (row.id,)).fetchone()[0]
    return held


def _wait_ms(connection: sqlite3.Connection, row: _Row, requests: int, per_ms: int, now_ms: int) -> int:
    """How long until one more is allowed: until the call that is so many before it is that old.

    If that one was forgotten, because fewer were allowed then, the oldest that is known stands for it.
    """
    oldest = connection.execute(_OLDEST, (row.id, row.calls - requests)).fetchone()
    latest = connection.execute(_LATEST, (row.id,)).fetchone()
    if oldest is None or oldest[0] + per_ms <= max(now_ms, latest[0]):
        return 0
    wait_ms: int = oldest[0] + per_ms - now_ms
    return wait_ms


def _forget(connection: sqlite3.Connection, process: int | None) -> None:
    connection.execute("DELETE FROM places WHERE process = ?", (process,))
    connection.execute("DELETE FROM processes WHERE id = ?", (process,))


@contextmanager
def _closing() -> Iterator[None]:
    """While running, whatever goes wrong means that nothing can be counted now."""
    try:
        yield
    except (*TROUBLE, OSError) as error:
        detail = f"{error} ({getattr(error, 'sqlite_errorname', 'no code')})"
        raise CountersUnavailable(detail) from error
