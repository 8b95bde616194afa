"""``POST /v1/restricted_keys/{id}/observe``, ``narrow`` and ``revert``: find out what a key needs; leave it no more."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Caller, Desk, admitted, in_thread, json_reply, read
from keyscope.api.documented import BODY, responses
from keyscope.api.replies.keys import RestrictedKeyView, key_view
from keyscope.api.requests import NarrowKey, Nothing, ObserveKey, scopes_of
from keyscope.authority.lookup import Detail


class TighteningRoutes:
    """For restricted keys alone: a standard key has nothing to narrow."""

    def __init__(self, desk: Desk, prefix: str) -> None:
        self._desk = desk
        self.router = APIRouter(prefix=prefix, tags=[prefix.rsplit("/", 1)[1]])
        add, view = self.router.add_api_route, responses(RestrictedKeyView, 400, 401, 403, 404, 413, 415)
        add("/{key_id}/observe", self.observe, methods=["POST"], operation_id="observeRestrictedKey",
            openapi_extra=BODY(ObserveKey, required=True), responses=view)  # fmt: skip
        add("/{key_id}/narrow", self.narrow, methods=["POST"], operation_id="narrowRestrictedKey",
            openapi_extra=BODY(NarrowKey, required=True), responses=view)  # fmt: skip
        add("/{key_id}/revert", self.revert, methods=["POST"], operation_id="revertRestrictedKey",
            responses=view)  # fmt: skip

    async def observe(self, request: Request, key_id: str) -> Response:
        """Until a time, record what the key lacks of its own scopes and do not refuse it. Standard keys only."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, ObserveKey)
        observe = self._desk.tightening.observe
        return await self._done(lambda: observe(caller.lineage, key_id, asked.until_ms, caller.origin))

    async def narrow(self, request: Request, key_id: str) -> Response:
        """Leave the key only some of its scopes, and remember the former ones."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, NarrowKey)
        narrow, scopes = self._desk.tightening.narrow, scopes_of(asked.scopes)
        return await self._done(lambda: narrow(caller.lineage, key_id, scopes, caller.origin))

    async def revert(self, request: Request, key_id: str) -> Response:
        """Give the key the scopes back that it was narrowed from. Standard keys only."""
        caller: Caller = admitted(request, self._desk)
        await read(request, self._desk, Nothing)
        revert = self._desk.tightening.revert
        return await self._done(lambda: revert(caller.lineage, key_id, caller.origin))

    async def _done(self, work: Callable[[], Detail]) -> Response:
        return json_reply(key_view(await in_thread(work), self._desk.clock.now_ms()))
