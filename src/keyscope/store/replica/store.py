"""The stores of a node: management reads and writes the record, judging reads the replica.

A server's write returns when this node's replica has it, so that whoever wrote finds it here. One that takes something
from a key also waits for the other nodes, up to a stated time, and gives its receipt (authority/receipts.py).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TypeVar, cast

from keyscope.authority.ports import Index, Reader, Writer
from keyscope.authority.receipts import Asked, Receipt, wanted
from keyscope.errors import StoreUnavailable, UnknownReceipt
from keyscope.store.postgres.session import PostgresReader
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.postgres.things import PostgresThings
from keyscope.store.postgres.writer import PostgresWriter
from keyscope.store.replica import file
from keyscope.store.replica.confirming import Confirmer, Question
from keyscope.store.replica.lease import Lease
from keyscope.store.replica.noting import Noting
from keyscope.store.trouble import unusable
from keyscope.store.walindex import identity

T = TypeVar("T")
log = logging.getLogger(__name__)

_HERE_S = 2.0
"""How long a write that only gives waits for this node's own replica. The change lasts, whether it has come or not."""


class ReplicaStore:
    """For a gate beside a server, which keeps the replica and the lease: it judges as that server's workers do.

    What such a gate writes takes nothing from a key, so nobody waits for it.
    """

    def __init__(self, record: PostgresStore, replica: Path, lease: Lease) -> None:
        self._record = record
        self._replica = replica
        self.lease = lease
        self._identity = identity(replica)

    @classmethod
    def open(cls, url: str, replica: Path) -> ReplicaStore:
        """Raises ConfigurationError, also if no server of this host has made the replica."""
        replica = replica.resolve()
        if not replica.exists():
            raise unusable(
                f"There is no replica at {replica}. Start `keyscope serve --replica {replica}` on this machine first,"
                " with the same database, or mend the path."
            )
        return cls(PostgresStore.open(url, replica), replica, Lease.open(replica))

    def read(self, work: Callable[[Reader], T]) -> T:
        return self._record.read(work)

    def write(self, work: Callable[[Writer], T]) -> T:
        return self._record.write(work)

    def open_index(self) -> Index:
        return file.open_index(self._replica, self.lease)

    def open_things(self) -> PostgresThings:
        return self._record.open_things()

    def tidy(self) -> None:
        self._record.tidy()

    def check(self) -> None:
        """Raise StoreUnavailable if the replica is not the file that was opened. To judge, no record is needed."""
        if identity(self._replica) != self._identity:
            raise StoreUnavailable(f"the replica {self._replica} was removed or replaced while in use")

    def close(self) -> None:
        self._record.close()
        self.lease.close()


class NodeStore(ReplicaStore):
    """For a server's workers. ``receipt_wait_ms``: how long a write that takes waits for the other nodes."""

    def __init__(
        self, record: PostgresStore, replica: Path, lease: Lease, confirmer: Confirmer, receipt_wait_ms: int
    ) -> None:
        super().__init__(record, replica, lease)
        self._asking = Lock()
        self._confirmer = confirmer
        self._receipt_wait_ms = receipt_wait_ms

    def write(self, work: Callable[[Writer], T]) -> T:
        """Raises StoreUnavailable also if the change was committed and nobody can say which nodes have it."""

        wants = wanted() is not None  # asked here: whoever leads a batch runs the work of all

        def noted(writer: Writer) -> tuple[T, int, str | None]:
            noting, record = Noting(writer), cast(PostgresWriter, writer)
            result = work(noting.as_writer)
            return result, record.change, record.epoch() if noting.takes or wants else None

        result, number, epoch = self._record.write(noted)
        if epoch is not None:
            self._wait_everywhere(number, epoch)
        elif self.lease.number < number:
            self._wait_here(number)
        return result

    def receipt(self, asked: Asked) -> Receipt:
        """How it stands with a change now, whichever node made it; waits no longer than a write does.

        Raises UnknownReceipt for what was not committed in this life of the record, and StoreUnavailable.
        """
        epoch, newest = self._record.read(lambda reader: cast(PostgresReader, reader).place())
        if asked.epoch != epoch or not 0 < asked.number <= newest:
            raise UnknownReceipt(f"change {asked.number} of {asked.epoch}")
        wait_ms = min(asked.wait_ms, self._receipt_wait_ms)
        return self._receipt(Question(asked.number, wait_ms, epoch, asked.known))

    def _wait_everywhere(self, number: int, epoch: str) -> None:
        receipts, wait_ms = wanted(), self._receipt_wait_ms
        if receipts is not None and receipts.wait_ms is not None:
            wait_ms = min(receipts.wait_ms, wait_ms)
            self._wait_here(number)  # who does not wait for others still finds here what it wrote
        receipt = self._receipt(Question(number, wait_ms, epoch))
        if receipts is not None:
            receipts.put(receipt)

    def _receipt(self, question: Question) -> Receipt:
        receipt = self._confirmer.ask(question).receipt
        if receipt is None:
            raise StoreUnavailable(f"change {question.number} is committed, and nobody can say which nodes have it")
        return receipt

    def _wait_here(self, number: int) -> None:
        """One asks at a time: what it waits for has nearly always brought what the others wait for, too."""
        end_s = time.monotonic() + _HERE_S
        if self._asking.acquire(timeout=_HERE_S):
            try:
                if self.lease.number < number:
                    self._confirmer.ask(Question(number, int((end_s - time.monotonic()) * 1000)))
            finally:
                self._asking.release()
        if self.lease.number < number:
            log.warning("change %d is committed, and has not come to this node yet", number)
