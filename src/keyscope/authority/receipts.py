"""The receipt of a change: which nodes have it, and by when the others will have closed themselves (decision 20).

Only stores of several nodes give receipts. Who wants one says so around the use case; the store, which knows nothing of
who called, gives it there. So the use cases are the same on one machine and on many.

Whoever wants one waits although nothing is written, because it may have been written before: a revocation that is sent
again, after one that failed half-way, says nothing that was not waited for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from hashlib import sha256

from msgspec import Struct

from keyscope.authority.ports import Store


class Pending(Struct, frozen=True):
    """A node that has not acknowledged, and when its lease will be over (Unix milliseconds of the answering node)."""

    node: str
    closes_by_ms: int


class Receipt(Struct, frozen=True):
    """Of the change with this number, in the record that ``epoch`` names.

    ``acknowledged`` judge by it. ``closed`` have not been heard for so long that they judge nothing until they have it.
    """

    epoch: str
    number: int
    acknowledged: tuple[str, ...]
    closed: tuple[str, ...] = ()
    pending: tuple[Pending, ...] = ()

    @property
    def tag(self) -> str:
        """Another one as soon as a node has acknowledged or closed; for HTTP's ``ETag``."""
        names = (self.acknowledged, self.closed, [node.node for node in self.pending])
        return sha256(repr(names).encode()).hexdigest()[:16]


class Asked(Struct, frozen=True):
    """How does it stand with this change? The answer may wait until nobody is pending, for so long.

    With ``known``, the tag of a receipt, it comes as soon as there is another one.
    """

    epoch: str
    number: int
    wait_ms: int = 0
    known: str | None = None


Answer = Callable[[Asked], Receipt]
"""Raises UnknownReceipt and StoreUnavailable."""


class Receipts:
    """Where the receipts of what is written meanwhile are put. ``wait_ms`` is the most that each is waited for, if not
    as long as the settings say.
    """

    def __init__(self, wait_ms: int | None = None) -> None:
        self.wait_ms = wait_ms
        self._given: list[Receipt] = []

    def put(self, receipt: Receipt) -> None:
        self._given.append(receipt)

    @property
    def last(self) -> Receipt | None:
        return self._given[-1] if self._given else None


_wanted: ContextVar[Receipts | None] = ContextVar("receipts", default=None)


@contextmanager
def receipts(wait_ms: int | None = None) -> Iterator[Receipts]:
    """Want the receipts of what is written inside, also in threads that are started from there."""
    wanted = Receipts(wait_ms)
    token = _wanted.set(wanted)
    try:
        yield wanted
    finally:
        _wanted.reset(token)


def wanted() -> Receipts | None:
    """Where to put the receipt of what is written now; None if nobody wants one."""
    return _wanted.get()


def confirm(store: Store) -> None:
    """Write nothing: who wants the receipt waits for all that was written before. Raises StoreUnavailable."""
    store.write(lambda _: None)
