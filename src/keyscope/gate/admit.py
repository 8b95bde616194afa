"""The door that every gate uses: find the one credential, judge the call, answer with an Allow or a refusal."""

from __future__ import annotations

from keyscope.authority.verify import Verifier
from keyscope.gate.standing import Standing
from keyscope.model.decision import Allow
from keyscope.model.scope import Scope
from keyscope.wire.bearer import find_bearer
from keyscope.wire.call import Call
from keyscope.wire.problem import Answer
from keyscope.wire.refusal import refusal


def admit(verifier: Verifier, call: Call) -> Allow | Answer:
    """Judge a call by everything but its body. Raises Unauthenticated and Unavailable.

    What calls this starts from nothing: only an Allow, which ``decide`` builds at its end, opens the gate.
    """
    decision = verifier.decide(find_bearer(call.headers), call.matched_method, call.path)
    if isinstance(decision, Allow):
        verifier.note_use(decision)
        return decision
    verifier.note_denied(decision, call.peer)
    return refusal(decision, call.method, call.path)


def is_judged_by_body(allow: Allow) -> bool:
    """Whether the call may need more, depending on its body.

    A standard key may do everything, so there is nothing in its bodies to judge.
    """
    route = allow.access.route
    return route is not None and bool(route.conditions) and allow.lineage.grant is not None


def standing_of(verifier: Verifier, call: Call, allow: Allow) -> Standing:
    """The permission that was given, for as long as the call lasts."""
    token, access = find_bearer(call.headers), allow.access

    def objection() -> Answer | None:
        decision = verifier.judge(verifier.find(token), access.route, access.needs)
        if isinstance(decision, Allow):
            return None
        verifier.note_denied(decision, call.peer)
        return refusal(decision, call.method, call.path)

    return Standing(objection)


def admit_with(verifier: Verifier, allow: Allow, call: Call, needs: tuple[Scope, ...]) -> Allow | Answer:
    """Judge an admitted call again, by all that it needs with its body."""
    decision = verifier.judge(allow.lineage, allow.access.route, needs)
    return decision if isinstance(decision, Allow) else refusal(decision, call.method, call.path)
