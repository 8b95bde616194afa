"""Scopes as bits, so that HAProxy can compare them: two a resource type, the lower for READ, the higher for WRITE."""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_

from keyscope.errors import ConfigurationError, Fault
from keyscope.model.scope import Grant, Level, Scope

MOST_TYPES = 31
"""HAProxy's integers have 64 bits, one of them for the sign."""

_LEVEL_BITS = {Level.NONE: 0b00, Level.READ: 0b01, Level.WRITE: 0b11}


class Bits:
    """The bits of a set of resource types. A type outside of it has none: nothing can need it."""

    def __init__(self, types: Iterable[str]) -> None:
        names = sorted(set(types))
        if len(names) > MOST_TYPES:
            fault = Fault("--policy", f"it has {len(names)} resource types, and HAProxy can judge by {MOST_TYPES}")
            raise ConfigurationError("policy", [fault])
        self._shifts = {name: 2 * place for place, name in enumerate(names)}
        self._known: dict[Grant, int] = {}
        self.everything = (1 << 2 * len(names)) - 1

    def of(self, scopes: Iterable[Scope]) -> int:
        """All the scopes together."""
        known = (scope for scope in scopes if scope.resource in self._shifts)
        return reduce(or_, (_LEVEL_BITS[scope.level] << self._shifts[scope.resource] for scope in known), 0)

    def of_grant(self, grant: Grant | None) -> int:
        """What a grant reaches; None stands for full access."""
        if grant is None:
            return self.everything
        if grant not in self._known:  # many keys share a few grants
            self._known[grant] = self.of(grant)
        return self._known[grant]
