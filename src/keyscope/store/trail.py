"""The audit trail in one SQLite file, shared by all processes of a host: WAL, durable on commit.

Whoever writes reads the head of the chain inside its own transaction, so entries of several processes make one chain.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock

from msgspec import to_builtins

from keyscope.authority.checkpoint import Checkpoint, Signer
from keyscope.authority.trail import (
    BEGUN,
    CHECKPOINT,
    MINUTE_MS,
    Batch,
    Entry,
    EntryPage,
    EntryQuery,
    UseCount,
    UseQuery,
)
from keyscope.errors import StoreUnavailable
from keyscope.store import trail_query as sql
from keyscope.store.trail_chain import SEAL_AFTER_MS, Head, add_uses, head_of, last_event, last_of_kind, seal, write
from keyscope.store.trail_prune import prune
from keyscope.store.trail_rows import entry_of, use_of
from keyscope.store.transaction import transaction
from keyscope.store.trouble import closing_the_gate


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

    def begin(self, events: int, now_ms: int, *, had_trail: bool = False) -> bool:
        """Write the first entry, if there is none; returns whether there was none.

        ``events`` is how many changes the database has had by then, ``had_trail`` whether there was a trail before.
        """
        with self._writing() as connection:
            if head_of(connection).number > 0:
                return False
            changes: dict[str, object] = {"database_events": events}
            if had_trail:
                changes["earlier_trail"] = "missing"
            write(connection, [Entry(at_ms=now_ms, kind=BEGUN, changes=changes)])
            seal(connection, now_ms, now_ms)
            return True

    def append(self, batch: Batch, now_ms: int) -> None:
        with self._writing() as connection:
            last = last_event(connection)
            write(connection, [entry for entry in batch.entries if entry.event is None or entry.event > last])
            add_uses(connection, batch.uses)
            seal(connection, now_ms, now_ms)

    def checkpoint(self, signer: Signer, now_ms: int, after_ms: int | None = None) -> Checkpoint | None:
        with self._writing() as connection:
            seal(connection, now_ms + MINUTE_MS + SEAL_AFTER_MS if after_ms == 0 else now_ms, now_ms)
            head = head_of(connection)
            if after_ms is not None and _is_signed(connection, head, now_ms - after_ms):
                return None
            made = signer.sign(head.number, head.hash, now_ms)
            event = last_event(connection)
            write(connection, [Entry(at_ms=now_ms, kind=CHECKPOINT, event=event, changes=to_builtins(made))])
            return made

    def prune(self, before_ms: int, now_ms: int) -> bool:
        with self._writing() as connection:
            more = prune(connection, before_ms, now_ms)
            seal(connection, now_ms, now_ms)
            return more

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
            with transaction(self._connection):
                yield self._connection

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing_the_gate():
            if self._connect is None:
                with self._lock:
                    yield self._connection
            else:
                with closing(self._connect()) as connection:
                    yield connection


def _is_signed(connection: sqlite3.Connection, head: Head, since_ms: int) -> bool:
    """Whether nothing came after the last checkpoint, or that was made since the time."""
    last = last_of_kind(connection, CHECKPOINT)
    return last is not None and (last.number == head.number or last.at_ms > since_ms)


def not_in_place(path: Path) -> StoreUnavailable:
    return StoreUnavailable(f"the audit trail {path} is no longer the file that was opened")
