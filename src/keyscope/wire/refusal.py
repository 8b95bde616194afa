"""From a denial to the answer that the caller sees: the one place where decisions become errors."""

from __future__ import annotations

import logging

from keyscope.authority.explain import Explanation, explain
from keyscope.errors import (
    InsufficientScope,
    InternalError,
    InvalidToken,
    KeyscopeError,
    NotInPolicy,
    Unavailable,
)
from keyscope.model.decision import Deny, Reason
from keyscope.wire.problem import Answer, Refusal, answer

log = logging.getLogger(__name__)


def failed(error: Exception) -> Answer:
    """The answer to an exception: an error's own, or 503 for what Keyscope did not foresee (law 7)."""
    if isinstance(error, KeyscopeError) and not isinstance(error, (Unavailable, InternalError)):
        return answer(error)
    log.error("cannot decide", exc_info=error)
    return answer(unavailable(error))


def unavailable(error: Exception) -> Unavailable:
    """The same as the error that says so."""
    return error if isinstance(error, Unavailable) else Unavailable(type(error).__name__)


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
