"""From a denial to the answer that the caller sees: the one place where decisions become errors."""

from __future__ import annotations

from keyscope.authority.explain import Explanation, explain
from keyscope.errors import (
    InsufficientScope,
    InvalidToken,
    KeyscopeError,
    NotInPolicy,
)
from keyscope.model.decision import Deny, Reason
from keyscope.wire.problem import Answer, Refusal, answer


def refusal(denied: Deny, method: str, path: str) -> Answer:
    """401 for a key that is not good, 403 with everything that is missing for one that is."""
    if denied.is_dead:
        return answer(InvalidToken())
    explained = explain(denied, method, path)
    return answer(_error(denied), _said(explained))


def _error(denied: Deny) -> KeyscopeError:
    return NotInPolicy() if Reason.NOT_IN_POLICY in denied.reasons else InsufficientScope()


def _said(explained: Explanation) -> Refusal:
    return Refusal(
        message=" ".join([explained.message, *explained.next]),
        operation=explained.operation,
        missing=explained.missing,
        next=explained.next,
    )
