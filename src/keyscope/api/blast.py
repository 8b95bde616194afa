"""``GET /v1/restricted_keys/{id}/blast`` and the same for apikeys: what the loss of a key amounts to."""

from __future__ import annotations

from fastapi import Request
from fastapi.responses import Response

from keyscope.api.caller import admitted, in_thread, json_reply
from keyscope.api.documented import responses
from keyscope.api.kinds import KindRoutes, Models
from keyscope.api.replies.blast import ApiKeyBlast, RestrictedKeyBlast, blast_view
from keyscope.authority.blast import BlastRadius
from keyscope.model.token import Kind

_BLASTS: Models = {Kind.RESTRICTED: RestrictedKeyBlast, Kind.STANDARD: ApiKeyBlast}


class BlastRoutes(KindRoutes):
    """The blast radius of one kind of key."""

    def _add_routes(self, word: str) -> None:
        desk = self._desk
        self._radius = BlastRadius(desk.store, desk.trail, desk.policy.operations, desk.policy.credential_kinds)
        self.router.add_api_route(
            "/{key_id}/blast",
            self.blast,
            methods=["GET"],
            operation_id=f"get{word}Blast",
            responses=responses(_BLASTS[self._kind], 400, 401, 403, 404),
        )

    async def blast(self, request: Request, key_id: str) -> Response:
        """What a key could do, did, minted and was handed, and the one call that ends it."""
        account_id = admitted(request, self._desk).lineage.key.account_id
        now_ms = self._desk.clock.now_ms()
        found = await in_thread(lambda: self._radius.of(account_id, self._kind, key_id, now_ms))
        return json_reply(blast_view(found, now_ms))
