"""The door that every gate uses: find the one credential, judge the call, answer with an Allow or a refusal.

What was decided goes into the record here, once for each call: a denial when it is made, an Allow when nothing of the
call is left to be judged.
"""

from __future__ import annotations

from keyscope.authority.trail import Attempt
from keyscope.authority.verify import Verifier
from keyscope.errors import Unauthenticated
from keyscope.gate.standing import Standing
from keyscope.model.decision import Allow
from keyscope.model.scope import Scope
from keyscope.wire.bearer import find_bearer
from keyscope.wire.call import Call, request_id
from keyscope.wire.problem import Answer, answer
from keyscope.wire.refusal import refusal


def admit(verifier: Verifier, call: Call) -> Allow | Answer:
    """Judge a call by everything but its body, which the caller of this does not read or does not mind.

    What calls this starts from nothing: only an Allow, which ``decide`` builds at its end, opens the gate. Raises
    Unauthenticated and Unavailable.
    """
    outcome = first_look(verifier, call)
    if isinstance(outcome, Allow) and is_judged_by_body(outcome):
        _let_through(verifier, outcome, call)
    return outcome


def first_look(verifier: Verifier, call: Call) -> Allow | Answer:
    """The same, for one that goes on to judge the body where ``is_judged_by_body``: nothing is counted before that."""
    try:
        decision = verifier.decide(find_bearer(call.headers), call.matched_method, call.path)
    except Unauthenticated as error:
        verifier.note_refused(error, attempt_of(call))
        raise
    if not isinstance(decision, Allow):
        verifier.note_denied(decision, attempt_of(call))
        return refusal(decision, call.method, call.path)
    if not is_judged_by_body(decision):
        _let_through(verifier, decision, call)
    return decision


def is_judged_by_body(allow: Allow) -> bool:
    """Whether the call may need more, depending on its body.

    A standard key may do everything, so there is nothing in its bodies to judge.
    """
    route = allow.access.route
    return route is not None and bool(route.conditions) and allow.lineage.grant is not None


def standing_of(verifier: Verifier, call: Call, allow: Allow) -> Standing:
    """The permission that was given, for as long as the call lasts."""
    access = allow.access

    def objection() -> Answer | None:
        try:
            decision = verifier.judge(verifier.find(find_bearer(call.headers)), access.route, access.needs)
        except Unauthenticated as error:
            verifier.note_refused(error, attempt_of(call))
            return answer(error)
        if isinstance(decision, Allow):
            return None
        verifier.note_denied(decision, attempt_of(call))
        return refusal(decision, call.method, call.path)

    return Standing(objection)


def admit_with(verifier: Verifier, allow: Allow, call: Call, needs: tuple[Scope, ...]) -> Allow | Answer:
    """Judge a call again that passed the first look, by all that it needs with its body."""
    decision = verifier.judge(allow.lineage, allow.access.route, needs)
    if isinstance(decision, Allow):
        _let_through(verifier, decision, call)
        return decision
    verifier.note_denied(decision, attempt_of(call))
    return refusal(decision, call.method, call.path)


def _let_through(verifier: Verifier, allow: Allow, call: Call) -> None:
    verifier.note_use(allow)
    if allow.observed is not None:
        verifier.note_observed(allow.observed, attempt_of(call))


def attempt_of(call: Call) -> Attempt:
    """The call as it is written down."""
    return Attempt(method=call.method, path=call.path, peer=call.peer, request_id=request_id(call.headers))
