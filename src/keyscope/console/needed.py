"""What a key has against what it used, as its page shows it, from the suggestion that the API gives too."""

from __future__ import annotations

from collections import Counter

from msgspec import Struct

from keyscope.authority.evidence import Evidence
from keyscope.authority.suggestion import Doubt, Replay, Suggestion
from keyscope.model.scope import Grant, Level, Scope

SHOWN = 10


class Called(Struct, frozen=True):
    """One operation that was called. ``share`` is the part of all calls, 0 to 1."""

    operation: str
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


class Needed(Struct, frozen=True, kw_only=True):
    """``suggested`` is what of the key's scopes served every call; ``adds`` what it used beyond them while observed.

    ``replay`` is the proof: all calls, judged again by the suggestion.
    """

    held: tuple[Held, ...]
    called: tuple[Called, ...]
    operations: int
    suggested: tuple[Scope, ...]
    adds: tuple[Scope, ...]
    replay: Replay
    doubts: tuple[Doubt, ...]

    @property
    def calls(self) -> int:
        return self.replay.calls

    @property
    def is_spare(self) -> bool:
        return any(held.is_spare for held in self.held)


def needed(evidence: Evidence, suggestion: Suggestion) -> Needed:
    """As shown."""
    calls: Counter[str] = Counter()
    for use in evidence.uses:
        calls[use.operation] += use.calls
    total = max(calls.total(), 1)
    suggested = Grant(suggestion.scopes).meet(Grant(suggestion.granted))
    return Needed(
        held=tuple(_held(Grant(suggestion.granted), suggested)),
        called=tuple(Called(name, number, number / total) for name, number in calls.most_common(SHOWN)),
        operations=len(calls),
        suggested=suggested.scopes(),
        adds=suggestion.adds,
        replay=suggestion.replay,
        doubts=suggestion.doubts,
    )


def _held(has: Grant, used: Grant) -> list[Held]:
    return [Held(scope.resource, scope.level, used.level(scope.resource)) for scope in has]
