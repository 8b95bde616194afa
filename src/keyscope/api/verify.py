"""``POST /keyscope/verify``: for API servers that hold a key of their own and want to know what another one may do.

It answers "no" with 200, so it is POST only and shares no path with forward-auth. Keys of other accounts are unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Desk, admitted, call_of, give_way, json_reply
from keyscope.api.documented import BODY, responses
from keyscope.api.replies.asked import Verified, VerifiedAll, me_view
from keyscope.api.replies.shape import objection_views
from keyscope.api.requests import VerifyKey, VerifyKeys, checked, scopes_of
from keyscope.authority.explain import explain
from keyscope.authority.trail import Attempt
from keyscope.errors import BadRequest, Fault, InvalidToken
from keyscope.gate.admit import matters_body, settle
from keyscope.gate.sight import Sight
from keyscope.model.body import Json
from keyscope.model.decision import Allow, Decision, strict
from keyscope.model.facts import BodySeen, Facts
from keyscope.model.key import Lineage
from keyscope.model.operation import LIVE, Route, strongest
from keyscope.model.scope import Scope
from keyscope.wire.asked import ASKABLE, asked_call
from keyscope.wire.body import read_json_bytes
from keyscope.wire.call import Call, request_id
from keyscope.wire.codec import decode

_INVALID: dict[str, object] = {
    "valid": False,
    "allowed": False,
    "key": None,
    "chain": [],
    "operation": None,
    "judged_by_body": False,
    "reasons": [],
    "missing_scopes": [],
    "observed_scopes": [],
    "objections": [],
    "message": InvalidToken.message,
    "next": [],
}


_TOLD = Sight(body=BodySeen.LATER, counts=True, knows_peer=True)


class VerifyRoutes:
    """``/keyscope/verify``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.router = APIRouter(prefix="/keyscope", tags=["keyscope"])
        self.router.add_api_route(
            "/verify",
            self.verify,
            methods=["POST"],
            operation_id="verifyKey",
            openapi_extra=BODY(VerifyKey, VerifyKeys, required=True),
            responses=responses(Verified | VerifiedAll, 400, 401, 403, 413, 415),
        )

    async def verify(self, request: Request) -> Response:
        """Whether a key is good, and whether it covers a call, or scopes. Says no with 200. Also many at once."""
        desk, call = self._desk, call_of(request)
        account_id = admitted(request, desk).lineage.key.account_id
        raw = await read_json_bytes(request.receive, call.headers, desk.max_body_bytes, desk.body_timeout_s)
        value, faults = decode(raw) if raw else ({}, [])
        if isinstance(value, dict) and "checks" in value:
            checks = checked(value, faults, VerifyKeys, desk.context).checks
            return json_reply({"results": await self._all(checks, account_id, call)})
        asked = checked(value, faults, VerifyKey, desk.context)
        return json_reply(self._one(asked, _call(asked), account_id, call))

    async def _all(self, checks: Sequence[VerifyKey], account_id: str, question: Call) -> list[dict[str, object]]:
        """The answers in the order asked. Raises BadRequest, before any answer, if a call among them is not one."""
        calls = [_numbered(number, asked) for number, asked in enumerate(checks)]
        results = []
        for number, (asked, call) in enumerate(zip(checks, calls, strict=True)):
            await give_way(number)
            results.append(self._one(asked, call, account_id, question))
        return results

    def _one(self, asked: VerifyKey, call: tuple[str, str], account_id: str, question: Call) -> dict[str, object]:
        method, path = call
        attempt = _attempt(method, path, question) if asked.counts else None
        lineage = self._find(asked.key, account_id, attempt)
        if lineage is None:
            return {**_INVALID, "now_ms": self._desk.clock.now_ms()}
        route = self._desk.verifier.route(method, path) if method else LIVE
        needs = _needs(route, asked.body, scopes_of(asked.scopes))
        decision = self._desk.verifier.judge(lineage, route, needs, self._facts(lineage, route, path, asked))
        by_body = matters_body(lineage, route)
        if attempt is None:
            decision = self._desk.verifier.look(strict(decision))
        elif not by_body or "body" in asked.model_fields_set:
            # A question about a body that was not sent will be asked again, with the body.
            decision = settle(self._desk.verifier, decision, lambda: attempt)
        return {**_verified(lineage, decision, *call), "judged_by_body": by_body}

    def _facts(self, lineage: Lineage, route: Route | None, path: str, asked: VerifyKey) -> Facts | None:
        """What whoever asks tells of the call. Its reply nobody edits here, and its end nobody sees."""
        facts = self._desk.verifier.facts(lineage, route, path, _TOLD, asked.peer or "")
        if facts is None or "body" not in asked.model_fields_set:
            return facts
        return _TOLD.with_body(facts, lineage, route, asked.body)

    def _find(self, text: str, account_id: str, attempt: Attempt | None) -> Lineage | None:
        """The key, if it is live and of this account."""
        try:
            lineage = self._desk.verifier.live(text.encode("utf-8"), attempt)
        except InvalidToken:
            return None
        return lineage if lineage.key.account_id == account_id else None


def _attempt(method: str, path: str, question: Call) -> Attempt:
    """The call asked about, as it is written down, by whoever asks."""
    asked_by = request_id(question.headers)
    return Attempt(method=method or None, path=path or None, peer=question.peer, request_id=asked_by)


def _needs(route: Route | None, body: Json, scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """What must be covered: the call's scopes with this body, and the scopes asked for."""
    return strongest((*route.needs_with(body), *scopes)) if route is not None else ()


def _numbered(number: int, asked: VerifyKey) -> tuple[str, str]:
    try:
        return _call(asked)
    except BadRequest as error:
        faults = [Fault(f"$.checks[{number}].{fault.path.removeprefix('$.')}", fault.message) for fault in error.faults]
        raise BadRequest("checks", faults) from None


def _call(asked: VerifyKey) -> tuple[str, str]:
    if asked.method is None or asked.path is None:
        return "", ""
    if asked.method not in ASKABLE:
        raise BadRequest("method", [Fault("$.method", f"use one of {', '.join(sorted(ASKABLE))}")])
    return asked_call(asked.method, asked.path)


def _verified(lineage: Lineage, decision: Decision, method: str, path: str) -> dict[str, object]:
    explained = explain(decision, method, path)
    allowed = isinstance(decision, Allow)
    return {
        "valid": True,
        "allowed": allowed,
        "key": me_view(lineage),
        "chain": list(lineage.chain),
        "operation": explained.operation if method else None,
        "reasons": [reason.value for reason in explained.reasons],
        "missing_scopes": [str(scope) for scope in explained.missing],
        "observed_scopes": [str(scope) for scope in explained.observed],
        "objections": objection_views(explained.objections),
        "message": explained.message if method or not allowed else "The key is valid.",
        "next": list(explained.next),
        "now_ms": decision.access.now_ms,
    }
