"""From a denial to the answer that the caller sees."""

from __future__ import annotations

from keyscope.authority.explain import Explanation, explain
from keyscope.authority.refusing import error_of
from keyscope.model.decision import Deny
from keyscope.wire.problem import Answer, Refusal, answer


def refusal(denied: Deny, method: str, path: str) -> Answer:
    """401 for a key that is not good, 403 with everything that is missing for one that is.

    404 without a word of the reasons for what the key does not own.
    """
    error = error_of(denied)()
    if denied.is_dead or denied.is_hidden:
        return answer(error)
    return answer(error, _said(explain(denied, method, path)))


def _said(explained: Explanation) -> Refusal:
    return Refusal(
        message=" ".join([explained.message, *explained.next]),
        operation=explained.operation,
        missing=explained.missing,
        objections=explained.objections,
        next=explained.next,
    )
