"""The verifier's judgement of MCP messages: everything that a message wants must be allowed."""

from __future__ import annotations

from collections.abc import Sequence

from keyscope.authority.verify import Verifier
from keyscope.errors import InvalidToken
from keyscope.gate.mcp_call import Want
from keyscope.gate.mcp_lists import May
from keyscope.model.decision import Allow, Decision, Deny
from keyscope.model.key import Lineage
from keyscope.model.operation import Route
from keyscope.policy.tools import METHOD
from keyscope.wire.problem import Answer
from keyscope.wire.refusal import refusal

_LIVE = Route((), (), ())
"""What needs no more than a live key."""


class Judge:
    """Judges by the same table and the same verifier as every other gate. All of it may raise Unavailable."""

    def __init__(self, verifier: Verifier) -> None:
        self._verifier = verifier

    def live(self, token: bytes, peer: str) -> Lineage:
        """The key, if it is good now; its use is noted. Raises InvalidToken otherwise."""
        lineage = self._verifier.find(token)
        decision = self._verifier.judge(lineage, _LIVE, ())
        if isinstance(decision, Deny):
            self._verifier.note_denied(decision, peer)
            raise InvalidToken("the key is not active")
        self._verifier.note_use(decision)
        return lineage

    def objection(self, token: bytes, wanted: Sequence[Want]) -> Answer | None:
        """The refusal of the first thing that the key may not do now; None if it may do all. Raises InvalidToken."""
        lineage = self._verifier.find(token)
        alive = self._verifier.judge(lineage, _LIVE, ())
        if isinstance(alive, Deny):
            return refusal(alive, METHOD, "/")
        for want in wanted:
            decision = self._one(lineage, want)
            if isinstance(decision, Deny):
                return refusal(decision, METHOD, want.path)
        return None

    def may(self, token: bytes) -> May:
        """Whether the key may call what has this path, at the time of asking."""

        def may(path: str) -> bool:
            return isinstance(self._one(self._verifier.find(token), Want(path)), Allow)

        return may

    def _one(self, lineage: Lineage, want: Want) -> Decision:
        route = self._verifier.route(METHOD, want.path)
        return self._verifier.judge(lineage, route, route.needs_with(want.arguments) if route is not None else ())
