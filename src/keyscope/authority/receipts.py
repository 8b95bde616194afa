"""The receipt of a change: which nodes have it, and by when the others will have closed themselves (decision 20).

Only stores of several nodes give receipts. Who wants one says so around the use case; the store, which knows nothing of
who called, gives it there. So the use cases are the same on one machine and on many.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from msgspec import Struct


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


class Receipts:
    """Where the receipts of what is written meanwhile are put."""

    def __init__(self) -> None:
        self._given: list[Receipt] = []

    def put(self, receipt: Receipt) -> None:
        self._given.append(receipt)

    @property
    def last(self) -> Receipt | None:
        return self._given[-1] if self._given else None


_wanted: ContextVar[Receipts | None] = ContextVar("receipts", default=None)


@contextmanager
def receipts() -> Iterator[Receipts]:
    """Want the receipts of what is written inside, also in threads that are started from there."""
    wanted = Receipts()
    token = _wanted.set(wanted)
    try:
        yield wanted
    finally:
        _wanted.reset(token)


def wanted() -> Receipts | None:
    """Where to put the receipt of what is written now; None if nobody wants one."""
    return _wanted.get()
