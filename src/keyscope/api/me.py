"""What any key may ask: what am I, may I, and what is there to ask for."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Caller, Desk, admitted, json_reply, one
from keyscope.api.documented import parameter, responses
from keyscope.api.replies.asked import Explained, Me, OperationList, me_view
from keyscope.api.replies.shape import objection_views, spent_view
from keyscope.authority.explain import Explanation, explain
from keyscope.errors import BadRequest, Fault
from keyscope.gate.sight import judged
from keyscope.model.operation import Operation
from keyscope.wire.asked import ASKABLE, asked_call
from keyscope.wire.target import matched_method

_CAN = [
    parameter("method", "The HTTP method.", {"type": "string", "enum": sorted(ASKABLE)}, required=True),
    parameter("path", "The path, as it would be sent, query allowed.", {"type": "string"}, required=True),
]


class MeRoutes:
    """``/keyscope/me``, ``/keyscope/can``, ``/keyscope/operations``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.router = APIRouter(prefix="/keyscope", tags=["keyscope"])
        add = self.router.add_api_route
        add("/me", self.me, methods=["GET"], operation_id="describeMe", responses=responses(Me, 401))
        add("/can", self.can, methods=["GET"], operation_id="canI", openapi_extra={"parameters": _CAN},
            responses=responses(Explained, 400, 401))  # fmt: skip
        add("/operations", self.operations, methods=["GET"], operation_id="listOperations",
            responses=responses(OperationList, 401))  # fmt: skip

    async def me(self, request: Request) -> Response:
        """What the calling key is and may do."""
        lineage = admitted(request, self._desk).lineage
        return json_reply({**me_view(lineage), **spent_view(self._desk.verifier.spent(lineage))})

    async def can(self, request: Request) -> Response:
        """Whether the calling key may make a call, in the words of the 403. Conditions on the body are listed apart."""
        caller = admitted(request, self._desk)
        method, path = _asked(request)
        return json_reply(explained_view(await self._explain(caller, method, path)))

    async def operations(self, request: Request) -> Response:
        """Every operation of the policy and the scopes that it needs."""
        admitted(request, self._desk)
        policy = self._desk.policy
        return json_reply(
            {
                "policy": policy.name,
                "resource_types": {kind.name: kind.description for kind in policy.resource_types},
                "operations": [operation_view(operation) for operation in policy.operations],
            }
        )

    async def _explain(self, caller: Caller, method: str, path: str) -> Explanation:
        verifier = self._desk.verifier
        route = verifier.route(matched_method(method), path)
        peer = caller.origin.peer or ""
        facts = await judged(self._desk.sight, lambda sight: verifier.facts(caller.lineage, route, path, sight, peer))
        decision = verifier.look(verifier.judge(caller.lineage, route, route.needs if route is not None else (), facts))
        return explain(decision, method, path)


def _asked(request: Request) -> tuple[str, str]:
    method, target = one(request, "method"), one(request, "path")
    if method not in ASKABLE:
        raise BadRequest("method", [Fault("query.method", f"use one of {', '.join(sorted(ASKABLE))}")])
    if not target:
        raise BadRequest("path", [Fault("query.path", "give the path of the call")])
    return method, asked_call(method, target)[1]


def explained_view(explained: Explanation) -> dict[str, object]:
    return {
        "allowed": explained.allowed,
        "operation": explained.operation,
        "needs": [str(scope) for scope in explained.needs],
        "missing_scopes": [str(scope) for scope in explained.missing],
        "observed_scopes": [str(scope) for scope in explained.observed],
        "reasons": [reason.value for reason in explained.reasons],
        "objections": objection_views(explained.objections),
        "message": explained.message,
        "next": list(explained.next),
    }


def operation_view(operation: Operation) -> dict[str, object]:
    creates = operation.creates
    return {
        "id": operation.id,
        "method": operation.method,
        "path": operation.template,
        "needs": [str(scope) for scope in operation.needs],
        "body": [{"when": str(c.when), "needs": str(c.needs), "why": c.why} for c in operation.body],
        "why": operation.why,
        "destroys": operation.destroys,
        "creates": {creates[0]: str(creates[1])} if creates is not None else None,
        "credentials": [str(path) for path in operation.credentials],
        "transport": operation.transport,
        "deprecated": operation.deprecated,
    }
