"""The verifier's judgement of MCP messages: everything that a message wants must be allowed."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from keyscope.authority.verify import Verifier
from keyscope.errors import Unauthenticated
from keyscope.gate.admit import attempt_of
from keyscope.gate.mcp_call import Want
from keyscope.gate.mcp_lists import May
from keyscope.gate.sight import Sight
from keyscope.model.decision import Allow, Decision, Deny
from keyscope.model.facts import Facts
from keyscope.model.key import Lineage
from keyscope.model.operation import LIVE, Route
from keyscope.policy.tools import METHOD
from keyscope.wire.bearer import find_bearer
from keyscope.wire.call import Call
from keyscope.wire.problem import Answer
from keyscope.wire.refusal import refusal


class Judge:
    """Judges by the same table and the same verifier as every other gate. All of it may raise Unavailable."""

    def __init__(self, verifier: Verifier, *, knows_peer: bool = False) -> None:
        """``knows_peer``: the peer of a call is surely who called."""
        self._verifier = verifier
        self._sight = Sight(knows_peer=knows_peer)

    def live(self, call: Call) -> tuple[bytes, Lineage]:
        """The credential and its key, if that is good now. Raises Unauthenticated otherwise."""
        try:
            token = find_bearer(call.headers)
        except Unauthenticated as error:
            self._verifier.note_refused(error, attempt_of(call))
            raise
        return token, self._verifier.live(token, attempt_of(call))

    def admit(self, call: Call, token: bytes, wanted: Sequence[Want]) -> Answer | None:
        """The same as ``objection``, once for each message: what comes of it goes into the record."""
        decisions = self._decisions(self._verifier.find(token), wanted, call.peer)
        denied = _first_denied(decisions)
        if denied is not None:
            asked = attempt_of(call)
            self._verifier.note_denied(denied[1], replace(asked, method=METHOD, path=denied[0]))
            return refusal(denied[1], METHOD, denied[0])
        for path, decision in decisions:
            if isinstance(decision, Allow):
                self._verifier.note_use(decision)
                if decision.observed is not None:
                    would_be = replace(attempt_of(call), method=METHOD, path=path)
                    self._verifier.note_observed(decision.observed, would_be)
        return None

    def objection(self, token: bytes, wanted: Sequence[Want], peer: str) -> Answer | None:
        """The refusal of the first thing that the key may not do now; None if it may do all. Raises InvalidToken."""
        denied = _first_denied(self._decisions(self._verifier.find(token), wanted, peer))
        return refusal(denied[1], METHOD, denied[0]) if denied is not None else None

    def may(self, token: bytes, peer: str) -> May:
        """Whether the key may call what has this path, at the time of asking."""

        def may(path: str) -> bool:
            return isinstance(self._one(self._verifier.find(token), Want(path), peer), Allow)

        return may

    def _decisions(self, lineage: Lineage, wanted: Sequence[Want], peer: str) -> list[tuple[str, Decision]]:
        """For each thing wanted its path and the decision; for nothing, whether the key is good."""
        if not wanted:
            return [("/", self._verifier.judge(lineage, LIVE, ()))]
        return [(want.path, self._one(lineage, want, peer)) for want in wanted]

    def _one(self, lineage: Lineage, want: Want, peer: str) -> Decision:
        route = self._verifier.route(METHOD, want.path)
        needs = route.needs_with(want.arguments) if route is not None else ()
        return self._verifier.judge(lineage, route, needs, self._facts(lineage, route, want, peer))

    def _facts(self, lineage: Lineage, route: Route | None, want: Want, peer: str) -> Facts | None:
        """What is seen of it by restrictions: who calls, and the things that its arguments name."""
        if not lineage.bounds:
            return None
        facts = self._sight.facts(lineage, route, want.path, peer)
        return self._sight.with_body(facts, lineage, route, want.arguments)


def _first_denied(decisions: list[tuple[str, Decision]]) -> tuple[str, Deny] | None:
    return next(((path, decision) for path, decision in decisions if isinstance(decision, Deny)), None)
