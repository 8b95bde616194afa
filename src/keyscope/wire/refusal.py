"""From a denial to the answer that the caller sees."""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus

from keyscope.authority.explain import Explanation, explain
from keyscope.authority.refusing import error_of
from keyscope.errors import RateLimited
from keyscope.model.decision import Deny
from keyscope.model.objection import Objection
from keyscope.wire.problem import Answer, Refusal, answer


def refusal(denied: Deny, method: str, path: str, status: HTTPStatus | None = None) -> Answer:
    """401 for a key that is not good, 403 with everything that is missing for one that is.

    404 without a word of the reasons for what the key does not own. 429 with Retry-After (RFC 6585) for what may pass
    later. ``status`` is for dialects that understand few: it takes the place of all but 401.
    """
    error = error_of(denied)()
    if denied.is_dead:
        return answer(error)
    if denied.is_hidden:
        return answer(error, status=status)
    wait_s = retry_after_s(denied.objections) if isinstance(error, RateLimited) else None
    return answer(error, _said(explain(denied, method, path), wait_s), status=status)


def retry_after_s(objections: Iterable[Objection]) -> int:
    """Whole seconds, at least one; when a place becomes free nobody knows."""
    wait_ms = max((objection.wait_ms or 0 for objection in objections), default=0)
    return max(1, -(-wait_ms // 1000))


def _said(explained: Explanation, wait_s: int | None) -> Refusal:
    return Refusal(
        message=" ".join([explained.message, *explained.next]),
        operation=explained.operation,
        missing=explained.missing,
        objections=explained.objections,
        next=explained.next,
        retry_after_s=wait_s,
    )
