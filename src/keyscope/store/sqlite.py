"""The store in one SQLite file: WAL, durable on commit, one writer at a time, readers that never wait.

``read`` and ``write`` may be called from any thread. A write that returned is on the disk; one that raised left
nothing behind.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from keyscope.authority.ports import Reader, Writer
from keyscope.errors import StoreUnavailable
from keyscope.store.batch import Batches, Job, run_together
from keyscope.store.connect import Link, database_id, is_in_place, reading
from keyscope.store.index import SqliteIndex, data_version
from keyscope.store.marker import Marker
from keyscope.store.prepare import prepare
from keyscope.store.readers import Readers
from keyscope.store.session import SqlReader
from keyscope.store.things import SqliteThings, open_things, things_beside
from keyscope.store.trouble import closing_the_gate

T = TypeVar("T")

MAPPED_BYTES = 0x7FFF0000
"""How much of the database an index maps instead of reading; SQLite's own limit. It spares a look-up 1 µs."""

TIDY_ABOVE_BYTES = 4 << 20
"""A WAL smaller than this is left to SQLite's own checkpoints."""

BUSY_TIMEOUT_S = 5.0
"""How long a write waits for another process, or another thread, to finish its own."""


class SqliteStore:
    """Use ``open``."""

    def __init__(self, path: Path, writer: Link, marker: Marker, busy_timeout_s: float) -> None:
        self.path = path
        self._writer = writer
        self._marker = marker
        self._id = database_id(writer.connection)
        self._batches = Batches(self._commit, busy_timeout_s)
        self._readers = Readers(lambda: reading(path, busy_timeout_s, writer.wal))

    @classmethod
    def open(cls, path: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S, map_wal_index: bool = True) -> SqliteStore:
        """Open, creating and migrating as needed. Raises ConfigurationError if the database cannot be used.

        Without ``map_wal_index`` the indexes ask SQLite for changes, which is slower and works everywhere.
        """
        # SQLite follows links before it names the -wal and -shm files, so the marker must too.
        path = path.resolve()
        marker = Marker(path)
        writer = prepare(path, marker, busy_timeout_s)
        if map_wal_index:
            writer.wal.map()
        return cls(path, writer, marker, busy_timeout_s)

    def read(self, work: Callable[[Reader], T]) -> T:
        """Run ``work`` on a consistent view."""
        with closing_the_gate():
            return self._readers.read(lambda connection: work(SqlReader(connection)))

    def write(self, work: Callable[[Writer], T]) -> T:
        """Run ``work`` in a transaction, commit durably, return its result. An exception rolls ``work`` back.

        Writes that wait for each other share one commit.
        """
        with closing_the_gate():
            return self._batches.write(work)

    def _commit(self, jobs: list[Job]) -> None:
        self._check_in_place()
        with closing_the_gate():
            last_event = run_together(self._writer.connection, jobs)
        if last_event:
            self._marker.raise_to(last_event)

    def open_index(self) -> SqliteIndex:
        """A look-up for the calling thread, with a connection of its own."""
        with closing_the_gate():
            link = self._readers.new()
            link.connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
            mapped = link.wal.reader()
            stamp = mapped or data_version(link.connection)
            return SqliteIndex(link.connection, stamp, link.close, may_hold=mapped is not None)

    def open_things(self) -> SqliteThings:
        """The ledger in the file beside this one."""
        return open_things(things_beside(self.path))

    def tidy(self) -> None:
        """Move what the WAL holds into the database once there is much of it, unless a write is under way."""
        wal = self.path.with_name(self.path.name + "-wal")
        with closing_the_gate(), suppress(FileNotFoundError):
            if wal.stat().st_size > TIDY_ABOVE_BYTES and self._batches.lock.acquire(blocking=False):
                try:
                    self._writer.connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
                finally:
                    self._batches.lock.release()

    def check(self) -> None:
        """Raise StoreUnavailable if the store cannot be read now, or is no longer the one that was opened."""
        self._check_in_place()
        if not self._writer.wal.in_place():
            raise StoreUnavailable(f"the -shm file of {self.path} was removed or replaced while in use")
        with closing_the_gate(), self._readers.connection() as connection:
            if database_id(connection) != self._id:
                raise StoreUnavailable(f"the database {self.path} has another id than when it was opened")

    def close(self) -> None:
        """Close. Indexes that were opened stay open until they are closed themselves."""
        with self._batches.lock:
            self._readers.close()
            self._writer.close()
            self._marker.close()

    def _check_in_place(self) -> None:
        # A commit to a file that was unlinked or replaced would be acknowledged and then be lost.
        if not is_in_place(self.path, self._writer.wal):
            raise StoreUnavailable(f"the database {self.path} is no longer the file that was opened")
