"""“Can it?”: why a key may make a call or not, what it lacks, and what to do about it."""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import one
from keyscope.authority.explain import Explanation, explain
from keyscope.console.kit import JUDGE, Kit, page
from keyscope.console.visitor import Visitor
from keyscope.errors import BadRequest, Fault, NotFound
from keyscope.gate.admit import matters_body
from keyscope.gate.sight import judged
from keyscope.model.decision import Allow
from keyscope.model.key import Lineage, State
from keyscope.model.operation import Route as Matched
from keyscope.wire.target import METHODS, matched_method, split_target

_SHOWN_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")


class Answered(Struct, frozen=True):
    """The answer about one key and one call. ``conditional``: a body may call for more. ``observed``: it is let
    through only because the key is observed.
    """

    lineage: Lineage
    state: State
    method: str
    path: str
    route: Matched | None
    explained: Explanation
    conditional: bool
    observed: bool
    obstacles: tuple[str, ...]


class AskingPages:
    """``/can``."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [page("/can", self.show)]

    async def show(self, request: Request) -> Response:
        """The form, and below it the answer. Of itself every key may ask; of others, who may read keys."""
        visitor = await self._kit.visitor(request)
        key_id = (one(request, "key", "") or "").strip() or visitor.key.id
        method, path = one(request, "method", "GET") or "GET", (one(request, "path", "") or "").strip()
        answered, error = None, None
        if path:
            try:
                answered = await self._answer(visitor, key_id, method, path)
            except (BadRequest, NotFound) as problem:
                error = problem
        context = {
            "key_id": key_id,
            "method": method,
            "path": path,
            "methods": _SHOWN_METHODS,
            "answered": answered,
            "error": error,
        }
        status = 200 if error is None else 400
        return await self._kit.page(visitor, "can.html", lambda: context, status=status)

    async def _answer(self, visitor: Visitor, key_id: str, method: str, target: str) -> Answered:
        if method not in METHODS:
            raise BadRequest("method", [Fault("method", "choose one of the methods offered")])
        path = split_target(target.encode())[0]
        verifier, lineage = self._kit.desk.verifier, self._lineage(visitor, key_id)
        route = verifier.route(matched_method(method), path)
        peer = visitor.origin.peer or ""
        facts = await judged(self._kit.desk.sight, lambda sight: verifier.facts(lineage, route, path, sight, peer))
        decision = verifier.look(verifier.judge(lineage, route, route.needs if route is not None else (), facts))
        conditional = matters_body(lineage, route)
        return Answered(
            lineage,
            lineage.state_at(self._kit.desk.clock.now_ms()),
            method,
            path,
            route,
            explain(decision, method, path),
            conditional and isinstance(decision, Allow),
            isinstance(decision, Allow) and decision.observed is not None,
            tuple(_obstacles(lineage, self._kit.desk.clock.now_ms())),
        )

    def _lineage(self, visitor: Visitor, key_id: str) -> Lineage:
        if key_id == visitor.key.id:
            return visitor.lineage
        visitor.require("POST", JUDGE)
        lineage = self._kit.desk.verifier.by_id(key_id)
        if lineage is None or lineage.key.account_id != visitor.account_id:
            raise NotFound("key")
        return lineage


def _obstacles(lineage: Lineage, now_ms: int) -> list[str]:
    """Which keys of the line are not active, and why, nearest first."""
    states = [(key.name, key.state_at(now_ms)) for key in lineage.line]
    return [f"{name} is {state}" for name, state in states if state is not State.ACTIVE]
