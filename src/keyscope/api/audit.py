"""``GET /keyscope/audit``: what was done and what was refused. ``GET /keyscope/usage``: how often what was allowed.

A standard key sees its account; a restricted one itself and all that was minted below it.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Caller, Desk, admitted, in_thread, json_reply, number, one
from keyscope.api.documented import parameter, responses
from keyscope.api.replies.audit import EntryList, UseList, entry_view, use_view
from keyscope.authority.trail import MINUTE_MS, EntryQuery, Trail, UseQuery, Verdict
from keyscope.errors import BadRequest, Fault, NotFound

STEPS = {"minute": MINUTE_MS, "hour": 60 * MINUTE_MS, "day": 24 * 60 * MINUTE_MS, "all": None}

_MOST_ENTRIES, _USUAL_ENTRIES = 5000, 100
_MOST_COUNTS = 50_000
_NUMBER_MOST = (1 << 53) - 1

_TEXT = {"type": "string"}
_MS = {"type": "integer", "format": "int64", "minimum": 0}
_TIMES = [
    parameter("since_ms", "From this time on, Unix milliseconds.", _MS),
    parameter("until_ms", "Before this time, Unix milliseconds.", _MS),
]
_SEARCH = [
    parameter("limit", "How many, 1 to 5000.", {"type": "integer", "minimum": 1, "maximum": 5000, "default": 100}),
    parameter("starting_after", "The number of the last entry of the page before.", {"type": "integer", "minimum": 1}),
    parameter("key_id", "Only about this key, or with it in the chain.", _TEXT),
    parameter("operation", "Only about this operation of the policy.", _TEXT),
    parameter("verdict", "Only of this sort.", {"type": "string", "enum": [verdict.value for verdict in Verdict]}),
    parameter("kind", "Only of this kind, like `key.minted` or `call.denied`.", _TEXT),
    parameter("code", "Only refusals with this code.", _TEXT),
    *_TIMES,
]
_COUNT = [
    parameter("key_id", "Only calls of this key.", _TEXT),
    parameter("step", "Added up by this step of time.", {"type": "string", "enum": [*STEPS], "default": "all"}),
    *_TIMES,
    parameter("limit", "How many, 1 to 50000.", {"type": "integer", "minimum": 1, "maximum": 50000, "default": 50000}),
    parameter("starting_after", "How many counts to leave out.", {"type": "integer", "minimum": 0, "default": 0}),
]


class AuditRoutes:
    """``/keyscope/audit`` and ``/keyscope/usage``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.router = APIRouter(prefix="/keyscope", tags=["keyscope"])
        add = self.router.add_api_route
        add("/audit", self.search, methods=["GET"], operation_id="searchAudit",
            openapi_extra={"parameters": _SEARCH}, responses=responses(EntryList, 400, 401, 403, 404))  # fmt: skip
        add("/usage", self.count, methods=["GET"], operation_id="countUses",
            openapi_extra={"parameters": _COUNT}, responses=responses(UseList, 400, 401, 403, 404))  # fmt: skip

    async def search(self, request: Request) -> Response:
        """The audit trail of the account: changes and refusals, newest first."""
        caller = admitted(request, self._desk)
        trail = self._trail()
        query = await in_thread(lambda: self._query(request, caller))
        page = await in_thread(lambda: trail.entries(query))
        return json_reply({"entries": [entry_view(entry) for entry in page.items], "has_more": page.has_more})

    async def count(self, request: Request) -> Response:
        """How often keys were let through, by key, operation and scopes needed."""
        caller = admitted(request, self._desk)
        trail = self._trail()
        faults: list[Fault] = []
        step_ms = _step(request, faults)
        since_ms, until_ms = number(request, "since_ms", faults), number(request, "until_ms", faults)
        limit = number(request, "limit", faults, least=1, most=_MOST_COUNTS) or _MOST_COUNTS
        skipped = number(request, "starting_after", faults, most=_NUMBER_MOST) or 0
        if faults:
            raise BadRequest("query", faults)
        query = UseQuery(
            account_id=caller.lineage.key.account_id,
            key_ids=await in_thread(lambda: self._keys(caller, one(request, "key_id"))),
            since_ms=since_ms or 0,
            until_ms=until_ms,
            step_ms=step_ms,
            limit=limit + 1,
            skip=skipped,
        )
        counts = await in_thread(lambda: trail.uses(query))
        return json_reply({"counts": [use_view(count) for count in counts[:limit]], "has_more": len(counts) > limit})

    def _trail(self) -> Trail:
        if self._desk.trail is None:
            raise NotFound("no trail", [Fault("audit", "this server keeps no audit trail; start it with --audit yes")])
        return self._desk.trail

    def _query(self, request: Request, caller: Caller) -> EntryQuery:
        faults: list[Fault] = []
        query = EntryQuery(
            account_id=caller.lineage.key.account_id,
            limit=number(request, "limit", faults, least=1, most=_MOST_ENTRIES) or _USUAL_ENTRIES,
            key_id=one(request, "key_id"),
            within=self._visible(caller),
            operation=one(request, "operation"),
            kind=one(request, "kind"),
            code=one(request, "code"),
            verdict=_verdict(request, faults),
            since_ms=number(request, "since_ms", faults),
            until_ms=number(request, "until_ms", faults),
            before=number(request, "starting_after", faults, least=1, most=_NUMBER_MOST),
        )
        if faults:
            raise BadRequest("query", faults)
        return query

    def _visible(self, caller: Caller) -> tuple[str, ...] | None:
        """The keys that the caller may see; None for all of the account."""
        key = caller.lineage.key
        if key.is_standard:
            return None
        below = self._desk.store.read(lambda reader: reader.descendants(key.id))
        return (key.id, *(child.id for child in below))

    def _keys(self, caller: Caller, asked: str | None) -> tuple[str, ...] | None:
        visible = self._visible(caller)
        if asked is None:
            return visible
        return (asked,) if visible is None or asked in visible else ()


def _verdict(request: Request, faults: list[Fault]) -> Verdict | None:
    word = one(request, "verdict")
    if word is None:
        return None
    if word not in list(Verdict):
        faults.append(Fault("query.verdict", f"use one of {', '.join(Verdict)}"))
        return None
    return Verdict(word)


def _step(request: Request, faults: list[Fault]) -> int | None:
    word = one(request, "step", "all")
    if word not in STEPS:
        faults.append(Fault("query.step", f"use one of {', '.join(STEPS)}"))
        return None
    return STEPS[word]
