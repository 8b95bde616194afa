"""What a key has against what it used: from the counts of allowed calls, its own and those of the keys below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from msgspec import Struct

from keyscope.authority.least import narrowest
from keyscope.authority.trail import UseCount
from keyscope.model.scope import Grant, Level, Scope

SHOWN = 10


class Used(Struct, frozen=True):
    """One operation that was called. ``share`` is the part of all calls, 0 to 1."""

    operation: str
    needs: tuple[Scope, ...]
    calls: int
    share: float


class Held(Struct, frozen=True):
    """One resource type that the key reaches, and how far it went."""

    resource: str
    has: Level
    used: Level

    @property
    def is_spare(self) -> bool:
        return self.used < self.has


class Needed(Struct, frozen=True):
    """``suggested`` are the narrowest scopes that would have let every one of these calls through."""

    held: tuple[Held, ...]
    used: tuple[Used, ...]
    operations: int
    calls: int
    suggested: tuple[Scope, ...]

    @property
    def is_spare(self) -> bool:
        return any(held.is_spare for held in self.held)


def needed(has: Grant, counts: Iterable[UseCount]) -> Needed:
    """From counts over the whole time, each operation and its needs once for each key."""
    calls: Counter[tuple[str, tuple[Scope, ...]]] = Counter()
    for count in counts:
        calls[count.operation or "outside the policy", count.needs] += count.calls
    suggested = Grant(narrowest(needs for _, needs in calls)).meet(has)
    total = calls.total()
    used = [Used(name, needs, number, number / total) for (name, needs), number in calls.most_common(SHOWN)]
    held = tuple(Held(scope.resource, scope.level, suggested.level(scope.resource)) for scope in has)
    return Needed(held, tuple(used), len(calls), total, suggested.scopes())
