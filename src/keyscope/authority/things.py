"""What keys have made, for those that may touch only that: the ledger of own things, as a port.

A thing belongs to the key that made it and to all above that, for good. Nothing takes it away again: neither a second
maker nor the end of the key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol, TypeAlias

Thing: TypeAlias = tuple[str, str]
"""Resource type and id."""
Owners: TypeAlias = Mapping[Thing, frozenset[str]]
"""Of things, the keys and derived links whose own each is. What nobody is known to have made is not in it."""


class Things(Protocol):
    """Shared by all processes that serve, on all hosts. Every method may raise StoreUnavailable."""

    def known(self, account_id: str, things: Sequence[Thing]) -> Owners | None:
        """As ``owners``, without a wait: None where that would take one. On the hot path, from one thread."""

    def owners(self, account_id: str, things: Sequence[Thing]) -> Owners:
        """Whose own each of these is. Sees everything that was added before the call, at whichever node."""

    def add(self, account_id: str, things: Sequence[Thing], makers: Sequence[str], at_ms: int) -> Owners:
        """Write down, durably, who made these; those that are known keep their owners. Gives back whose they are.

        ``at_ms`` is Unix milliseconds. Used from any thread.
        """

    def close(self) -> None: ...
