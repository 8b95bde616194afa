"""The door that every gate uses: find the one credential, judge the call, answer with an Allow or a refusal.

What was decided goes into the record here, once for each call: a denial when it is made, an Allow when nothing of the
call is left to be judged. Then, too, it is counted against what is spent, and in no other place.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial

from msgspec import UNSET, UnsetType

from keyscope.authority.trail import Attempt
from keyscope.authority.verify import Verifier
from keyscope.errors import Unauthenticated, Unavailable
from keyscope.gate.sight import SEES_BODY, SEES_NO_BODY, Sight, Unasked, without_body
from keyscope.gate.standing import Standing
from keyscope.model.body import Json
from keyscope.model.decision import Allow, Decision, Deny
from keyscope.model.key import Lineage
from keyscope.model.operation import Route
from keyscope.wire.asgi import Send, until_answered
from keyscope.wire.bearer import find_bearer
from keyscope.wire.call import Call, request_id
from keyscope.wire.problem import Answer, answer
from keyscope.wire.refusal import refusal


def admit(verifier: Verifier, call: Call, sight: Sight = SEES_NO_BODY) -> Allow | Answer:
    """Judge a call by everything but its body, which the caller of this does not read or does not mind.

    What calls this starts from nothing: only an Allow, which ``decide`` builds at its end, opens the gate. Raises
    Unauthenticated and Unavailable.
    """
    outcome = first_look(verifier, call, sight)
    return let_through(verifier, outcome, call) if isinstance(outcome, Allow) else outcome


def first_look(verifier: Verifier, call: Call, sight: Sight = SEES_BODY) -> Allow | Answer:
    """The same without the end: whoever has an Allow from here judges the body where ``is_judged_by_body``, and then
    asks ``let_through``.
    """
    try:
        decision = verifier.decide(find_bearer(call.headers), call.matched_method, call.path, sight, call.peer)
    except Unauthenticated as error:
        verifier.note_refused(error, attempt_of(call))
        raise
    return decision if isinstance(decision, Allow) else _refused(verifier, decision, call)


def look(verifier: Verifier, lineage: Lineage, call: Call, sight: Sight) -> Allow | Answer:
    """The same for a key that is known, without a credential. Raises Unavailable."""
    route = verifier.route(call.matched_method, call.path)
    facts = verifier.facts(lineage, route, call.path, sight, call.peer)
    decision = verifier.judge(lineage, route, route.needs if route is not None else (), facts)
    return decision if isinstance(decision, Allow) else _refused(verifier, decision, call)


def is_judged_by_body(allow: Allow) -> bool:
    """Whether the call may need more, depending on its body.

    A standard key may do everything, so there is nothing in its bodies to judge; unless what was derived from it is
    restricted to certain things.
    """
    return matters_body(allow.lineage, allow.access.route)


def matters_body(lineage: Lineage, route: Route | None) -> bool:
    """Whether the body of such a call could change what is decided about it."""
    if route is not None and route.conditions and lineage.grant is not None:
        return True
    return bool(lineage.bounds) and any(bound.looks_at_body(route) for bound in lineage.bounds)


def standing_of(verifier: Verifier, call: Call, allow: Allow, sight: Sight = SEES_BODY) -> Standing:
    """The permission that was given, for as long as the call lasts."""
    access = allow.access

    def objection() -> Answer | None:
        try:
            lineage = verifier.find(find_bearer(call.headers))
            # Without facts the key was not restricted when the call was let through.
            facts = access.facts or verifier.facts(lineage, access.route, call.path, sight, call.peer)
            decision = verifier.judge(lineage, access.route, access.needs, facts)
        except Unauthenticated as error:
            verifier.note_refused(error, attempt_of(call))
            return answer(error)
        except Unasked as unasked:  # the key was limited to its own meanwhile
            raise Unavailable(str(unasked)) from None
        return None if isinstance(decision, Allow) else _refused(verifier, decision, call)

    return Standing(objection)


def admit_with(
    verifier: Verifier, allow: Allow, call: Call, body: Json | UnsetType, sight: Sight = SEES_BODY
) -> Allow | Answer:
    """Judge a call again that passed the first look, as ``second_look`` does, and then ``let_through``."""
    outcome = second_look(verifier, allow, call, body, sight)
    return let_through(verifier, outcome, call) if isinstance(outcome, Allow) else outcome


def second_look(
    verifier: Verifier, allow: Allow, call: Call, body: Json | UnsetType, sight: Sight = SEES_BODY
) -> Allow | Answer:
    """Judge a call again by all that it needs with its body.

    ``body`` is the value that goes on, None for an empty one; UNSET for one that nobody saw, which may then hold
    anything. Raises Unavailable.
    """
    route, facts = allow.access.route, allow.access.facts
    if route is None:
        raise Unavailable("only a listed call depends on its body")
    if body is UNSET:
        decision = verifier.judge(allow.lineage, route, route.needs_unseen, without_body(facts))
    else:
        seen = sight.with_body(facts, allow.lineage, route, body) if facts is not None else None
        decision = verifier.judge(allow.lineage, route, route.needs_with(body), seen)
    return decision if isinstance(decision, Allow) else _refused(verifier, decision, call)


def let_through(verifier: Verifier, allow: Allow, call: Call) -> Allow | Answer:
    """Spend the call and write it down, when nothing else is left to be judged. Raises Unavailable.

    Whoever carries the call to its end then says that it is ``over``.
    """
    decision = settle(verifier, allow, lambda: attempt_of(call))
    return decision if isinstance(decision, Allow) else refusal(decision, call.method, call.path)


def settle(verifier: Verifier, decision: Decision, attempt: Callable[[], Attempt]) -> Decision:
    """The last word on a call: an Allow is spent, and what comes of it written down. ``attempt`` makes the record."""
    if isinstance(decision, Allow) and decision.lineage.bounds:
        decision = verifier.spend(decision)
    if not isinstance(decision, Allow):
        verifier.note_denied(decision, attempt())
        return decision
    verifier.note_use(decision)
    if decision.observed is not None:
        verifier.note_observed(decision.observed, attempt())
    return decision


def lasting(verifier: Verifier, allow: Allow, send: Send) -> AbstractContextManager[Send]:
    """A ``send`` for the answer to a call that was let through; with its last part the call is ``over``."""
    if not allow.lineage.bounds:
        return nullcontext(send)
    return until_answered(send, partial(over, verifier, allow))


def over(verifier: Verifier, allow: Allow) -> None:
    """The call that was let through has ended, in whatever way."""
    if allow.lineage.bounds:
        verifier.give_back(allow)


def _refused(verifier: Verifier, denied: Deny, call: Call) -> Answer:
    """The answer to a denied call, once it is written down."""
    verifier.note_denied(denied, attempt_of(call))
    return refusal(denied, call.method, call.path)


def attempt_of(call: Call) -> Attempt:
    """The call as it is written down."""
    return Attempt(method=call.method, path=call.path, peer=call.peer, request_id=request_id(call.headers))
