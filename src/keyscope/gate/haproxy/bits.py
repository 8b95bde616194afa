"""Scopes as bits, so that HAProxy can compare them: two a resource type, the lower for READ, the higher for WRITE.

What a call needs has the call's number above the bits of its scopes, and every key has all the bits there. So one
number says what is needed and for what, and a key covers a call if it has all the bits of that number.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import or_

from keyscope.errors import ConfigurationError, Fault
from keyscope.model.scope import Grant, Level, Scope

MOST_TYPES = 25
MOST_CALLS = (1 << 13) - 1
"""HAProxy's integers have 64 bits, one of them for the sign: 50 for scopes, 13 for the number of the call."""

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
        self._calls = 2 * len(names)
        self.everything = (1 << self._calls) - 1
        self._any_call = MOST_CALLS << self._calls

    def needs(self, scopes: Iterable[Scope], call: int) -> int:
        """All the scopes together, for the call of this number."""
        if call > MOST_CALLS:
            raise ConfigurationError("policy", [Fault("--policy", f"HAProxy can judge {MOST_CALLS} calls")])
        return self.of(scopes) | call << self._calls

    def of(self, scopes: Iterable[Scope]) -> int:
        """All the scopes together."""
        known = (scope for scope in scopes if scope.resource in self._shifts)
        return reduce(or_, (_LEVEL_BITS[scope.level] << self._shifts[scope.resource] for scope in known), 0)

    def of_grant(self, grant: Grant | None) -> int:
        """What a grant reaches, in any call; None stands for full access."""
        if grant is None:
            return self.everything | self._any_call
        if grant not in self._known:  # many keys share a few grants
            self._known[grant] = self.of(grant) | self._any_call
        return self._known[grant]
