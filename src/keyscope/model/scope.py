"""Scopes and grants: who may touch which resource type, and how far.

Levels are ordered ``NONE < READ < WRITE`` and WRITE includes READ. A grant answers for every resource type; what it
does not name is NONE. Nothing in this module widens: ``meet`` only takes away.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import IntEnum

from msgspec import Struct

WIRE_TYPE_PREFIX = "RESOURCE_TYPE_"
WIRE_LEVEL_PREFIX = "ACCESS_LEVEL_"

_RESOURCE = re.compile(r"[a-z][a-z0-9_]{0,62}", re.ASCII)


class Level(IntEnum):
    """An access level. The order is the meaning."""

    NONE = 0
    READ = 1
    WRITE = 2

    @property
    def word(self) -> str:
        """The short form: ``none``, ``read`` or ``write``."""
        return self.name.lower()

    @property
    def wire(self) -> str:
        """Runloop's form: ``ACCESS_LEVEL_READ``."""
        return WIRE_LEVEL_PREFIX + self.name


_BY_WORD = {level.word: level for level in Level}


class Scope(Struct, frozen=True, order=True, gc=False):
    """One (resource type, access level) pair. Short form ``devboxes:read``."""

    resource: str
    level: Level

    def __post_init__(self) -> None:
        if not _RESOURCE.fullmatch(self.resource):
            raise ValueError(f"{self.resource!r} is not a resource type: use a-z, 0-9 and _, a letter first")

    @classmethod
    def parse(cls, text: str) -> Scope:
        """Read the short form. Raises ValueError, with a sentence for people, if it is not one."""
        resource, colon, word = text.partition(":")
        if not colon or word not in _BY_WORD:
            raise ValueError(f"{text!r} is not a scope: write TYPE:none, TYPE:read or TYPE:write, like devboxes:read")
        return cls(resource, _BY_WORD[word])

    def __str__(self) -> str:
        return f"{self.resource}:{self.level.word}"

    @property
    def wire_type(self) -> str:
        """Runloop's form of the resource type: ``RESOURCE_TYPE_DEVBOXES``."""
        return WIRE_TYPE_PREFIX + self.resource.upper()

    @property
    def entry(self) -> dict[str, str]:
        """Runloop's form of the scope, as JSON has it."""
        return {"resource_type": self.wire_type, "access_level": self.level.wire}


class Grant:
    """What a key's scopes add up to: a level for every resource type; absent means NONE. Immutable."""

    __slots__ = ("_levels",)

    def __init__(self, scopes: Iterable[Scope] = ()) -> None:
        levels: dict[str, int] = {}
        for scope in scopes:
            # Two scopes for one type never arise from the wire (400); should they, the lower one counts (law 1).
            levels[scope.resource] = min(levels.get(scope.resource, Level.WRITE), scope.level)
        self._levels = {resource: level for resource, level in levels.items() if level}

    def level(self, resource: str) -> Level:
        """The level for a resource type; NONE for one that the grant does not name."""
        return Level(self._levels.get(resource, 0))

    def covers(self, scope: Scope) -> bool:
        """Whether the grant reaches this scope."""
        return self._levels.get(scope.resource, 0) >= scope.level

    def missing(self, required: Iterable[Scope]) -> tuple[Scope, ...]:
        """The required scopes that the grant does not reach, in the order given."""
        levels = self._levels
        # A loop, not a comprehension: nothing is missing from most calls, and this runs for every one.
        missing: list[Scope] = []
        for scope in required:
            if levels.get(scope.resource, 0) < scope.level:
                missing.append(scope)  # noqa: PERF401  (as said above)
        return tuple(missing)

    def meet(self, other: Grant) -> Grant:
        """What both allow."""
        theirs = other._levels
        met = Grant()
        met._levels = {
            resource: min(level, theirs[resource]) for resource, level in self._levels.items() if resource in theirs
        }
        return met

    def within(self, other: Grant) -> bool:
        """Whether this grant reaches nothing that the other does not."""
        return all(other._levels.get(resource, 0) >= level for resource, level in self._levels.items())

    def scopes(self) -> tuple[Scope, ...]:
        """The scopes other than NONE, by resource type."""
        return tuple(self)

    def __iter__(self) -> Iterator[Scope]:
        return (Scope(resource, Level(self._levels[resource])) for resource in sorted(self._levels))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Grant) and self._levels == other._levels

    def __hash__(self) -> int:
        return hash(frozenset(self._levels.items()))

    def __repr__(self) -> str:
        return f"Grant({' '.join(map(str, self)) or 'nothing'})"
