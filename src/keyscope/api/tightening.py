"""``/v1/restricted_keys/{id}/observe``, ``suggestion``, ``narrow``, ``revert``: learn a key's needs, leave it those."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Caller, Desk, admitted, in_thread, json_reply, number, read
from keyscope.api.documented import BODY, SUGGESTION_PARAMETERS, WAITING, responses
from keyscope.api.replies.keys import RestrictedKeyView, key_view
from keyscope.api.replies.least import Suggested, suggestion_view
from keyscope.api.requests import NarrowKey, Nothing, ObserveKey, scopes_of
from keyscope.api.taking import taking, wait_of
from keyscope.authority.evidence import DAY_MS, gather
from keyscope.authority.lookup import Detail
from keyscope.authority.suggestion import suggest
from keyscope.errors import BadRequest, Fault, NotFound

USUAL_PERIOD_MS = 30 * DAY_MS


class TighteningRoutes:
    """For restricted keys alone: a standard key has nothing to narrow."""

    def __init__(self, desk: Desk, prefix: str) -> None:
        self._desk = desk
        self.router = APIRouter(prefix=prefix, tags=[prefix.rsplit("/", 1)[1]])
        add, view = self.router.add_api_route, responses(RestrictedKeyView, 400, 401, 403, 404, 413, 415)
        add("/{key_id}/observe", self.observe, methods=["POST"], operation_id="observeRestrictedKey",
            openapi_extra=BODY(ObserveKey, required=True) | WAITING, responses=view)  # fmt: skip
        add("/{key_id}/narrow", self.narrow, methods=["POST"], operation_id="narrowRestrictedKey",
            openapi_extra=BODY(NarrowKey, required=True) | WAITING, responses=view)  # fmt: skip
        add("/{key_id}/revert", self.revert, methods=["POST"], operation_id="revertRestrictedKey",
            openapi_extra=WAITING, responses=view)  # fmt: skip
        add("/{key_id}/suggestion", self.suggestion, methods=["GET"], operation_id="suggestScopes",
            openapi_extra={"parameters": SUGGESTION_PARAMETERS},
            responses=responses(Suggested, 400, 401, 403, 404))  # fmt: skip

    async def suggestion(self, request: Request, key_id: str) -> Response:
        """What the key used of what it has, and the narrowest scopes that would have served every recorded call."""
        caller, desk = admitted(request, self._desk), self._desk
        faults: list[Fault] = []
        since_ms = number(request, "since_ms", faults)
        if faults:
            raise BadRequest("query", faults)
        now_ms = desk.clock.now_ms()
        since_ms = since_ms if since_ms is not None else max(0, now_ms - USUAL_PERIOD_MS)
        if desk.trail is None:
            raise NotFound("no trail", [Fault("audit", "this server keeps no audit trail; start it with --audit yes")])
        store, trail = desk.store, desk.trail
        policy = {operation.id: operation for operation in desk.policy.operations}
        evidence = await in_thread(lambda: gather(store, trail, caller.lineage, key_id, since_ms, now_ms))
        return json_reply(suggestion_view(await in_thread(lambda: suggest(evidence, policy))))

    async def observe(self, request: Request, key_id: str) -> Response:
        """Until a time, record what the key lacks of its own scopes and do not refuse it. Standard keys only."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, ObserveKey)
        observe = self._desk.tightening.observe
        work = partial(observe, caller.lineage, key_id, asked.until_ms, caller.origin)
        return await self._done(work, wait_of(request, caller, key_id))

    async def narrow(self, request: Request, key_id: str) -> Response:
        """Leave the key only some of its scopes, and remember the former ones."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, NarrowKey)
        narrow, scopes, may_add = self._desk.tightening.narrow, scopes_of(asked.scopes), asked.may_add
        work = partial(narrow, caller.lineage, key_id, scopes, caller.origin, may_add=may_add)
        return await self._done(work, wait_of(request, caller, key_id))

    async def revert(self, request: Request, key_id: str) -> Response:
        """Give the key the scopes back that it was narrowed from. Standard keys only."""
        caller: Caller = admitted(request, self._desk)
        await read(request, self._desk, Nothing)
        revert = self._desk.tightening.revert
        work = partial(revert, caller.lineage, key_id, caller.origin)
        return await self._done(work, wait_of(request, caller, key_id))

    async def _done(self, work: Callable[[], Detail], wait_ms: int | None) -> Response:
        detail, receipt = await taking(work, wait_ms)
        return json_reply({**key_view(detail, self._desk.clock.now_ms()), **receipt})
