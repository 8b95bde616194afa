"""``POST /keyscope/panic`` ends many keys, or shows what would die; ``POST /keyscope/me/revoke`` ends the caller."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Desk, admitted, json_reply, read
from keyscope.api.documented import BODY, WAITING, responses
from keyscope.api.replies.ending import Ended, KeysEnded, ended_view
from keyscope.api.requests import EndKeys, RevokeKey
from keyscope.api.taking import taking, wait_of
from keyscope.authority.ports import Selector


class EndingRoutes:
    """``/keyscope/panic`` and ``/keyscope/me/revoke``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.router = APIRouter(prefix="/keyscope", tags=["keyscope"])
        add = self.router.add_api_route
        add("/panic", self.panic, methods=["POST"], operation_id="endKeys",
            openapi_extra=BODY(EndKeys, required=True) | WAITING,
            responses=responses(KeysEnded, 400, 401, 403, 404, 413, 415))  # fmt: skip
        add("/me/revoke", self.revoke_me, methods=["POST"], operation_id="revokeMe", openapi_extra=BODY(RevokeKey),
            responses=responses(Ended, 400, 401, 413, 415))  # fmt: skip

    async def panic(self, request: Request) -> Response:
        """Revoke every key that a selector means; with ``dry_run`` only list them. Standard keys only."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, EndKeys)
        selector = asked.tree if asked.tree is not None else _selector(asked)
        end = self._desk.panic.end
        ended, receipt = await taking(
            lambda: end(caller.lineage, selector, asked.reason, caller.origin, dry_run=asked.dry_run),
            wait_of(request, caller),
        )
        return json_reply({**ended_view(ended, asked.dry_run), **receipt})

    async def revoke_me(self, request: Request) -> Response:
        """Revoke the calling key, with nothing but itself. A derived key ends alone, with what was derived from it."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, RevokeKey)
        key, reason = caller.lineage.key, asked.reason
        if caller.lineage.derived:
            end = self._desk.derivation.revoke_self
            ended, receipt = await taking(lambda: end(caller.lineage, reason, caller.origin))
            return json_reply({"id": ended, "status": "revoked", "died_with_it": 0, **receipt})
        revoke = self._desk.lifecycle.revoke
        revoked, receipt = await taking(lambda: revoke(caller.lineage, key.kind, key.id, reason, caller.origin))
        return json_reply({"id": key.id, "status": "revoked", "died_with_it": revoked.died, **receipt})


def _selector(asked: EndKeys) -> Selector:
    return Selector(created_by=asked.created_by, name_prefix=asked.name_prefix, restricted_only=asked.all_restricted)
