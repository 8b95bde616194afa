"""What is spent: how many uses a key has left, how many calls in a stretch of time, how many at once.

A key draws on its own budget and on that of every key above it, on all of them at once or on none: so keys that minted
each other never have more together than the uppermost has. Nobody is told of more than was counted: what cannot be
counted is not let through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

SCHEMES = ("redis://", "rediss://", "unix://")
"""Of addresses where several nodes count together."""


class Kind(StrEnum):
    """What a budget limits."""

    USES = "uses"
    RATE = "rate"
    PARALLEL = "parallel"


class Budget(Struct, frozen=True, kw_only=True):
    """What one holder may spend: a key, or a link of a derived key. What is None is not limited.

    ``uses`` is for its whole life; ``requests`` for any stretch of ``per_ms`` milliseconds, one end of which counts;
    ``parallel`` is how many calls may be under way.
    """

    holder: str
    uses: int | None = None
    requests: int | None = None
    per_ms: int = 0
    parallel: int | None = None


class Spent(Struct, frozen=True):
    """A budget that has nothing left. ``wait_ms`` is when a rate has room again, in milliseconds from now."""

    holder: str
    kind: Kind
    wait_ms: int | None = None


class Used(Struct, frozen=True):
    """How much of a holder's budget is gone: uses in all, and calls that are under way."""

    uses: int = 0
    parallel: int = 0


class Counters(Protocol):
    """Shared by all processes that serve. Every method but ``give_back`` may raise CountersUnavailable."""

    def take(self, budgets: Sequence[Budget], now_ms: int) -> tuple[Spent, ...]:
        """Spend one call of each of these budgets, or of none of them, and then say which have nothing left.

        ``now_ms`` is Unix milliseconds. A clock that goes back never opens a window: the latest call is the present.
        """

    def look(self, budgets: Sequence[Budget], now_ms: int) -> tuple[Spent, ...]:
        """What ``take`` would say, without spending."""

    def give_back(self, budgets: Sequence[Budget]) -> None:
        """Free the places that a ``take`` got for a call that has ended. Uses and rates are spent for good."""

    def used(self, holders: Sequence[str]) -> Mapping[str, Used]:
        """How much is gone, of each of these holders."""

    def tidy(self) -> None:
        """Make durable what was counted. To be called about every second, beside the hot path."""

    def close(self) -> None: ...
