"""The AuthZEN Authorization API 1.0: evaluation, evaluations, search for actions and resources, and discovery.

A denial is 200, so nothing here shares a path with forward-auth. The one who asks shows a key with read on keys, and
sees the keys of its own account. Errors are a JSON string, as AuthZEN has it; ``X-Request-ID`` comes back in every
answer. There is no search for subjects: it would have to judge every key of the account, and their number has no bound.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api import authzen_shapes as shapes
from keyscope.api.authzen_shapes import MOST_EVALUATIONS
from keyscope.api.caller import Answered, Desk, call_of, give_way
from keyscope.api.documented import BODY
from keyscope.api.evaluation import ROUTE, Evaluator, ask, check_context, entity, question
from keyscope.api.plain import (
    Plain,
    asking,
    base_url,
    encode,
    endpoint,
    json_answer,
    read_content,
    refused,
    response_of,
    rewritten,
)
from keyscope.errors import BadRequest, Fault, KeyscopeError
from keyscope.model.body import Json
from keyscope.wire.asgi import Receive
from keyscope.wire.asked import ASKABLE
from keyscope.wire.call import Call
from keyscope.wire.codec import decode_strict
from keyscope.wire.own import CONFIGURATION
from keyscope.wire.problem import Answer, Header

_BASE = "/keyscope/access/v1"
EVALUATION = f"{_BASE}/evaluation"
EVALUATIONS = f"{_BASE}/evaluations"
SEARCH_ACTION = f"{_BASE}/search/action"
SEARCH_RESOURCE = f"{_BASE}/search/resource"

_STOPS = {"execute_all": None, "deny_on_first_deny": False, "permit_on_first_permit": True}
"""By ``evaluations_semantic``: the decision after which the rest is left out."""

_ALLOWED = encode({"decision": True})

Body = dict[str, Json]
Work = Callable[[str, Body], Awaitable[bytes]]
"""From the account of the one who asks, and the request, to the reply."""


class AccessRoutes:
    """AuthZEN's endpoints. ``plain`` is what is answered without FastAPI."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._evaluator = Evaluator(desk)
        works: dict[str, Work] = {
            EVALUATION: self.evaluation,
            EVALUATIONS: self.evaluations,
            SEARCH_ACTION: self.search_action,
            SEARCH_RESOURCE: self.search_resource,
        }
        self.plain: dict[str, Plain] = {path: self._answering(work) for path, work in works.items()}
        self.router = APIRouter(tags=["authzen"])
        self._add(EVALUATION, "evaluateAccess", shapes.EvaluationRequest, shapes.DecisionReply)
        decisions = shapes.DecisionsReply | shapes.DecisionReply
        self._add(EVALUATIONS, "evaluateAccesses", shapes.EvaluationsRequest, decisions)
        self._add(SEARCH_ACTION, "searchActions", shapes.ActionSearchRequest, shapes.FoundActions)
        self._add(SEARCH_RESOURCE, "searchResources", shapes.ResourceSearchRequest, shapes.FoundResources)
        self.router.add_api_route(CONFIGURATION, self.configuration, methods=["GET"],
            operation_id="authzenConfiguration", responses={200: {"model": shapes.Configuration}})  # fmt: skip

    async def evaluation(self, account_id: str, body: Body) -> bytes:
        """Whether a key may make a call (AuthZEN). A denial is 200 too, and says what is missing."""
        answered = self._evaluator.answer(account_id, question(body))
        return _ALLOWED if answered["decision"] is True else encode(answered)

    async def evaluations(self, account_id: str, body: Body) -> bytes:
        """Many evaluations at once (AuthZEN), answered in the order asked."""
        asked = body.get("evaluations")
        if asked is None or asked == []:
            return await self.evaluation(account_id, body)
        items, stop = _items(asked), _stop(body)
        decisions: list[dict[str, object]] = []
        for number, item in enumerate(items):
            await give_way(number)
            decisions.append(self._one_of_many(account_id, {**body, **item}))
            if stop is not None and decisions[-1]["decision"] is stop:
                break
        return encode({"evaluations": decisions})

    async def search_action(self, account_id: str, body: Body) -> bytes:
        """The methods that a key may call on a route, or else the operations that it may do (AuthZEN)."""
        subject, resource = entity(body, "subject", "type", "id"), entity(body, "resource", "type", "id")
        check_context(body)
        kind, name = str(resource["type"]), str(resource["id"])
        names = sorted(ASKABLE) if kind == ROUTE else [*self._evaluator.operations]
        questions = [ask(subject, action, kind, name, resource.get("properties")) for action in names]
        found = [asked.action for asked in questions if self._evaluator.allows(account_id, asked)]
        return _page(body, [{"name": name} for name in found])

    async def search_resource(self, account_id: str, body: Body) -> bytes:
        """The routes, as templates, or the operations with which a key may do an action (AuthZEN)."""
        subject, action = entity(body, "subject", "type", "id"), entity(body, "action", "name")
        resource = entity(body, "resource", "type")
        check_context(body)
        kind, name, given = str(resource["type"]), str(action["name"]), resource.get("properties")
        questions = [ask(subject, name, kind, one, given) for one in self._evaluator.candidates(kind, name)]
        found = [asked.resource_id for asked in questions if self._evaluator.allows(account_id, asked)]
        return _page(body, [{"type": kind, "id": one} for one in found])

    async def configuration(self, request: Request) -> Response:
        """Where the AuthZEN endpoints are."""
        base = base_url(self._desk, call_of(request).headers)
        document = {
            "policy_decision_point": base,
            "access_evaluation_endpoint": base + EVALUATION,
            "access_evaluations_endpoint": base + EVALUATIONS,
            "search_action_endpoint": base + SEARCH_ACTION,
            "search_resource_endpoint": base + SEARCH_RESOURCE,
        }
        return response_of(json_answer(encode(document)))

    def _add(self, path: str, operation_id: str, asked: type, reply: object) -> None:
        self.router.add_api_route(
            path,
            endpoint(self.plain[path]),
            methods=["POST"],
            operation_id=operation_id,
            openapi_extra=BODY(asked, required=True),
            responses={200: {"model": reply, "description": "OK"}, **_PROBLEMS},
        )

    def _answering(self, work: Work) -> Plain:
        async def answer(call: Call, receive: Receive) -> Answer:
            echo = _echo(call)
            try:
                account_id = asking(self._desk, call).key.account_id
                body = await self._read(call, receive)
                return json_answer(await work(account_id, body), *echo)
            except (KeyscopeError, Answered) as error:
                return _refused(error, echo)

        answer.__doc__ = work.__doc__
        return answer

    async def _read(self, call: Call, receive: Receive) -> Body:
        body = decode_strict(await read_content(self._desk, call, receive, "application/json"))
        if not isinstance(body, dict):
            raise BadRequest("no object", [Fault("$", "send an object")])
        return body

    def _one_of_many(self, account_id: str, request: Body) -> dict[str, object]:
        """A fault of one evaluation is that one's answer, and no."""
        try:
            return self._evaluator.answer(account_id, question(request))
        except BadRequest as error:
            message = refused(error)[2]
            return {"decision": False, "context": {"error": {"status": 400, "message": message}}}


def _items(asked: Json) -> list[Body]:
    if not isinstance(asked, list) or not all(isinstance(item, dict) for item in asked):
        raise BadRequest("evaluations", [Fault("$.evaluations", "send a list of objects")])
    if len(asked) > MOST_EVALUATIONS:
        raise BadRequest("evaluations", [Fault("$.evaluations", f"send at most {MOST_EVALUATIONS}")])
    return [item for item in asked if isinstance(item, dict)]


def _stop(body: Mapping[str, Json]) -> bool | None:
    options = body.get("options", {})
    name = options.get("evaluations_semantic", "execute_all") if isinstance(options, dict) else None
    if not isinstance(name, str) or name not in _STOPS:
        raise BadRequest("options", [Fault("$.options.evaluations_semantic", f"use one of {', '.join(_STOPS)}")])
    return _STOPS[name]


def _page(body: Mapping[str, Json], results: Sequence[object]) -> bytes:
    """One page of the results; ``page.token`` is how many stand before it."""
    page = body.get("page", {})
    token = page.get("token") or "0" if isinstance(page, dict) else None
    limit = page.get("limit", len(results) or 1) if isinstance(page, dict) else None
    if not isinstance(token, str) or not (token.isascii() and token.isdigit() and len(token) < 10):
        raise BadRequest("page", [Fault("$.page.token", "send the next_token of the page before")])
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise BadRequest("page", [Fault("$.page.limit", "send a whole number from 1")])
    start, end = int(token), int(token) + limit
    next_token = str(end) if end < len(results) else ""
    return encode({"results": results[start:end], "page": {"next_token": next_token}})


def _echo(call: Call) -> tuple[Header, ...]:
    return tuple(header for header in call.headers if header[0] == b"x-request-id")


def _refused(error: KeyscopeError | Answered, echo: tuple[Header, ...]) -> Answer:
    """The error as AuthZEN has it: its message as a JSON string."""
    local, _, message = refused(error)
    return rewritten(local, encode(message), *echo)


_MEANINGS = {
    400: "The request is not valid.",
    401: "No key, or one that is not valid.",
    403: "The caller may not ask.",
    413: "The body is too large.",
    503: "Keyscope cannot decide at the moment.",
}
_PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {"description": meaning, "content": {"application/json": {"schema": {"type": "string"}}}}
    for status, meaning in _MEANINGS.items()
}
