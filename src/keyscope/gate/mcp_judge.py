"""The verifier's judgement of MCP messages: everything that a message wants must be allowed."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from keyscope.authority.verify import Verifier
from keyscope.errors import Unauthenticated
from keyscope.gate.admit import attempt_of, over
from keyscope.gate.mcp_call import Want
from keyscope.gate.mcp_lists import May
from keyscope.gate.sight import Sight
from keyscope.model.decision import Allow, Decision, Deny
from keyscope.model.key import Lineage
from keyscope.model.operation import LIVE
from keyscope.policy.tools import METHOD
from keyscope.wire.bearer import find_bearer
from keyscope.wire.call import Call
from keyscope.wire.problem import Answer
from keyscope.wire.refusal import refusal


class Judge:
    """Judges by the same table and the same verifier as every other gate. All of it may raise Unavailable."""

    def __init__(self, verifier: Verifier, sight: Sight) -> None:
        self._verifier = verifier
        self._sight = sight

    def live(self, call: Call) -> tuple[bytes, Lineage]:
        """The credential and its key, if that is good now. Raises Unauthenticated otherwise."""
        try:
            token = find_bearer(call.headers)
        except Unauthenticated as error:
            self._verifier.note_refused(error, attempt_of(call))
            raise
        return token, self._verifier.live(token, attempt_of(call))

    def admit(self, call: Call, token: bytes, wanted: Sequence[Want]) -> Allow | Answer:
        """Once for each message: it is counted as one call, and what comes of it goes into the record.

        What has an Allow from here says when that is ``over``.
        """
        decisions = self._spent(self._decisions(self._verifier.find(token), wanted, call.peer))
        denied = _first_denied(decisions)
        if denied is not None:
            asked = attempt_of(call)
            self._verifier.note_denied(denied[1], replace(asked, method=METHOD, path=denied[0]))
            return refusal(denied[1], METHOD, denied[0])
        allowed = [(path, decision) for path, decision in decisions if isinstance(decision, Allow)]
        for path, allow in allowed:
            self._verifier.note_use(allow)
            if allow.observed is not None:
                would_be = replace(attempt_of(call), method=METHOD, path=path)
                self._verifier.note_observed(allow.observed, would_be)
        return allowed[0][1]

    def over(self, allow: Allow) -> None:
        """The message is answered."""
        over(self._verifier, allow)

    def objection(self, call: Call, token: bytes, wanted: Sequence[Want]) -> Answer | None:
        """The refusal of the first thing that the key may not do now; None if it may do all. Raises InvalidToken."""
        denied = _first_denied(self._decisions(self._verifier.find(token), wanted, call.peer))
        return refusal(denied[1], METHOD, denied[0]) if denied is not None else None

    def may(self, call: Call, token: bytes) -> May:
        """Whether the key may call what has this path, at the time of asking."""

        def may(path: str) -> bool:
            return isinstance(self._one(self._verifier.find(token), Want(path), call.peer), Allow)

        return may

    def _spent(self, decisions: list[tuple[str, Decision]]) -> list[tuple[str, Decision]]:
        """The same, once the message is counted; nothing is, if anything of it is refused."""
        path, first = decisions[0]
        if _first_denied(decisions) is not None or not isinstance(first, Allow) or not first.lineage.bounds:
            return decisions
        return [(path, self._verifier.spend(first)), *decisions[1:]]

    def _decisions(self, lineage: Lineage, wanted: Sequence[Want], peer: str) -> list[tuple[str, Decision]]:
        """For each thing wanted its path and the decision; for nothing, whether the key is good."""
        if not wanted:
            return [("/", self._verifier.judge(lineage, LIVE, ()))]
        return [(want.path, self._one(lineage, want, peer)) for want in wanted]

    def _one(self, lineage: Lineage, want: Want, peer: str) -> Decision:
        route = self._verifier.route(METHOD, want.path)
        needs = route.needs_with(want.arguments) if route is not None else ()
        facts = self._verifier.facts(lineage, route, want.path, self._sight, peer)
        if facts is not None:
            facts = self._sight.with_body(facts, lineage, route, want.arguments)
        return self._verifier.judge(lineage, route, needs, facts)


def _first_denied(decisions: list[tuple[str, Decision]]) -> tuple[str, Deny] | None:
    return next(((path, decision) for path, decision in decisions if isinstance(decision, Deny)), None)
