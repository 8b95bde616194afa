"""From a denial to the error that the caller meets: what the answer, its code in the record and its words go by."""

from __future__ import annotations

from collections.abc import Iterable

from keyscope.errors import (
    InsufficientScope,
    InvalidToken,
    KeyscopeError,
    NotFound,
    NotInPolicy,
    RateLimited,
    Restricted,
)
from keyscope.model.decision import Deny
from keyscope.model.objection import Reason


def error_of(denied: Deny) -> type[KeyscopeError]:
    """The error of a denial: what is most the matter with the call."""
    if denied.is_dead:
        return InvalidToken
    if denied.is_hidden:
        return NotFound  # in the words of any unknown thing, so that nobody learns what there is
    if Reason.NOT_IN_POLICY in denied.reasons:
        return NotInPolicy
    if passes_later(denied.reasons):
        return RateLimited
    return InsufficientScope if denied.missing else Restricted


def passes_later(reasons: Iterable[Reason]) -> bool:
    """Whether the same call may pass after a while: nothing but its frequency is against it."""
    found = set(reasons)
    return bool(found) and found <= _PASSING


_PASSING = frozenset({Reason.RATE_EXCEEDED, Reason.TOO_MANY_PARALLEL})
"""Against the call only now."""
