"""From a denial to the error that the caller meets: what the answer, its code in the record and its words go by."""

from __future__ import annotations

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
    if _PASSING.issuperset(denied.reasons):
        return RateLimited
    return InsufficientScope if denied.missing else Restricted


_PASSING = frozenset({Reason.RATE_EXCEEDED, Reason.TOO_MANY_PARALLEL})
"""Against the call only now."""
