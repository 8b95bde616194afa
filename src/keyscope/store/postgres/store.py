"""The store in a PostgreSQL database: durable on commit, one writer at a time over all nodes, readers that never wait.

``read`` and ``write`` may be called from any thread. A write that returned is on the disk of the server, and on that of
a standby if the server is told to wait for one; one that raised left nothing behind, unless the connection broke while
it was being committed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from keyscope.authority.ports import Reader, Writer
from keyscope.errors import StoreUnavailable
from keyscope.store.batch import Batches, Job
from keyscope.store.marker import Marker
from keyscope.store.postgres.address import Address, parse
from keyscope.store.postgres.batch import run_together
from keyscope.store.postgres.connect import LOCK_TIMEOUT_S, database_id, reading, writing
from keyscope.store.postgres.index import PostgresIndex
from keyscope.store.postgres.pool import Pool
from keyscope.store.postgres.prepare import prepare
from keyscope.store.postgres.things import PostgresThings
from keyscope.store.postgres.trouble import closing_the_gate

T = TypeVar("T")


class PostgresStore:
    """Use ``open``."""

    def __init__(self, address: Address, known_id: str, marker: Marker | None) -> None:
        self.address = address
        self._id = known_id
        self._marker = marker
        self._readers = Pool(address, partial(reading, address, known_id))
        self._writers = Pool(address, partial(writing, address, known_id))
        self._batches = Batches(self._commit, LOCK_TIMEOUT_S)

    @classmethod
    def open(cls, url: str, beside: Path | None = None) -> PostgresStore:
        """Open, creating and migrating as needed. Raises ConfigurationError if the database cannot be used.

        With ``beside`` this node remembers the database in a file named after it, to notice when another one is there.
        """
        address = parse(url)
        marker = Marker(beside) if beside is not None else None
        return cls(address, prepare(address, marker), marker)

    def read(self, work: Callable[[Reader], T]) -> T:
        """Run ``work`` on a consistent view."""
        return self._readers.read(work)

    def write(self, work: Callable[[Writer], T]) -> T:
        """Run ``work`` in a transaction, commit durably, return its result. An exception rolls ``work`` back.

        Writes that wait for each other share one commit.
        """
        with closing_the_gate(self.address):
            return self._batches.write(work)

    def _commit(self, jobs: list[Job]) -> None:
        with closing_the_gate(self.address), self._writers.link() as link:
            last = run_together(link, jobs, self._id)
        if self._marker is not None and last.event:
            self._marker.raise_to(last.event)

    def open_index(self) -> PostgresIndex:
        """A look-up for the calling thread."""
        return PostgresIndex(self._readers)

    def open_things(self) -> PostgresThings:
        """The ledger of own things, which all nodes share."""
        return PostgresThings(self.address, self._readers, self._writers)

    def tidy(self) -> None:
        """PostgreSQL does its own."""

    def check(self) -> None:
        """Raise StoreUnavailable if the store cannot be read now, or is no longer the one that was opened."""
        with closing_the_gate(self.address), self._readers.link() as link:
            if database_id(link) != self._id:
                raise StoreUnavailable(f"the database {self.address.shown} has another id than when it was opened")

    def close(self) -> None:
        self._writers.close()
        self._readers.close()
        if self._marker is not None:
            self._marker.close()
