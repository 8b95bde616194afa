"""``POST /v1/restricted_keys/{id}/…`` and the same for apikeys: revoke, undelete, suspend, resume, rotate; the tree."""

from __future__ import annotations

from functools import partial

from fastapi import Request
from fastapi.responses import Response

from keyscope.api import requests
from keyscope.api.caller import admitted, call_of, in_thread, json_reply, number, one, read, repeatable
from keyscope.api.documented import BODY, TREE_PARAMETERS, WAITING, responses
from keyscope.api.kinds import VIEWS, KindRoutes, Models
from keyscope.api.replies.ending import DerivedRevoked
from keyscope.api.replies.keys import (
    ApiKeyRevoked,
    ApiKeyRotated,
    RestrictedKeyRevoked,
    RestrictedKeyRotated,
    key_view,
    render_rotated,
    revoked_view,
)
from keyscope.api.replies.receipt import with_receipt
from keyscope.api.replies.tree import ApiKeyTree, RestrictedKeyTree, tree_view
from keyscope.api.taking import taking, wait_of
from keyscope.authority.tree import tree
from keyscope.errors import BadRequest, Fault
from keyscope.model.token import Kind

_REVOKED: Models = {Kind.RESTRICTED: RestrictedKeyRevoked, Kind.STANDARD: ApiKeyRevoked}
_ROTATED: Models = {Kind.RESTRICTED: RestrictedKeyRotated, Kind.STANDARD: ApiKeyRotated}
_TREES: Models = {Kind.RESTRICTED: RestrictedKeyTree, Kind.STANDARD: ApiKeyTree}
_PAGE = 5000


class LifeRoutes(KindRoutes):
    """What can happen to one kind of key."""

    def _add_routes(self, word: str) -> None:
        kind, add = self._kind, self.router.add_api_route
        reason, rotate = BODY(requests.RevokeKey) | WAITING, BODY(requests.RotateKey) | WAITING
        usual = (400, 401, 403, 404, 413, 415)
        view = responses(VIEWS[kind], *usual)
        add("/{key_id}/revoke", self.revoke, methods=["POST"], operation_id=f"revoke{word}", openapi_extra=reason,
            responses=responses(_REVOKED[kind], *usual))  # fmt: skip
        add("/{key_id}/undelete", self.undelete, methods=["POST"], operation_id=f"undelete{word}", responses=view)
        add("/{key_id}/suspend", self.suspend, methods=["POST"], operation_id=f"suspend{word}", openapi_extra=reason,
            responses=view)  # fmt: skip
        add("/{key_id}/resume", self.resume, methods=["POST"], operation_id=f"resume{word}", responses=view)
        add("/{key_id}/rotate", self.rotate, methods=["POST"], operation_id=f"rotate{word}", openapi_extra=rotate,
            responses=responses(_ROTATED[kind], 409, *usual))  # fmt: skip
        add("/{key_id}/tree", self.tree, methods=["GET"], operation_id=f"get{word}Tree",
            openapi_extra={"parameters": TREE_PARAMETERS},
            responses=responses(_TREES[kind], 400, 401, 403, 404))  # fmt: skip
        add("/{key_id}/derived/{derived_id}/revoke", self.revoke_derived, methods=["POST"],
            operation_id=f"revokeDerived{word}", openapi_extra=reason,
            responses=responses(DerivedRevoked, *usual))  # fmt: skip

    async def revoke(self, request: Request, key_id: str) -> Response:
        """Revoke a key and everything that it minted. Once this has answered, the gate accepts none of them."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, requests.RevokeKey)
        revoke = self._desk.lifecycle.revoke
        end = partial(revoke, caller.lineage, self._kind, key_id, asked.reason, caller.origin)
        revoked, receipt = await taking(end, wait_of(request, caller, key_id))
        return json_reply({**revoked_view(revoked, self._desk.clock.now_ms()), **receipt})

    async def undelete(self, request: Request, key_id: str) -> Response:
        """Bring back a revoked key, and what died with it, while the settings still allow it. Standard keys only."""
        caller = admitted(request, self._desk)
        await read(request, self._desk, requests.Nothing)
        undelete = self._desk.lifecycle.undelete
        detail = await in_thread(lambda: undelete(caller.lineage, self._kind, key_id, caller.origin))
        return json_reply(key_view(detail, self._desk.clock.now_ms()))

    async def suspend(self, request: Request, key_id: str) -> Response:
        """Stop a key, and everything that it minted, until it is resumed."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, requests.RevokeKey)
        suspend = self._desk.lifecycle.suspend
        stop = partial(suspend, caller.lineage, self._kind, key_id, asked.reason, caller.origin)
        detail, receipt = await taking(stop, wait_of(request, caller, key_id))
        return json_reply({**key_view(detail, self._desk.clock.now_ms()), **receipt})

    async def resume(self, request: Request, key_id: str) -> Response:
        """End a suspension. Standard keys only."""
        caller = admitted(request, self._desk)
        await read(request, self._desk, requests.Nothing)
        resume = self._desk.lifecycle.resume
        detail = await in_thread(lambda: resume(caller.lineage, self._kind, key_id, caller.origin))
        return json_reply(key_view(detail, self._desk.clock.now_ms()))

    async def rotate(self, request: Request, key_id: str) -> Response:
        """Give a key a new secret, shown here and never again. The old one works for ``overlap_ms`` more."""
        caller = admitted(request, self._desk)
        asked, raw = await read(request, self._desk, requests.RotateKey)
        repeat = repeatable(call_of(request), caller, raw)
        rotate, overlap_ms = self._desk.rotation.rotate, asked.overlap_ms
        reply, receipt = await taking(
            lambda: rotate(caller.lineage, self._kind, key_id, overlap_ms, caller.origin, render_rotated, repeat),
            wait_of(request, caller, key_id),
        )
        return json_reply(with_receipt(reply, receipt))

    async def tree(self, request: Request, key_id: str) -> Response:
        """The keys above and below a key: who minted whom, and what of it lives. Oldest first."""
        caller = admitted(request, self._desk)
        faults: list[Fault] = []
        limit = number(request, "limit", faults, least=1, most=_PAGE) or _PAGE
        after = one(request, "starting_after")
        if faults:
            raise BadRequest("query", faults)
        store, account_id = self._desk.store, caller.lineage.key.account_id
        found = await in_thread(lambda: tree(store, account_id, self._kind, key_id, limit, after))
        return json_reply(tree_view(found, self._desk.clock.now_ms()))

    async def revoke_derived(self, request: Request, key_id: str, derived_id: str) -> Response:
        """Revoke one key that was derived from this one, and what was derived from it, before it expires."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, requests.RevokeKey)
        revoke = self._desk.derivation.revoke
        end = partial(revoke, caller.lineage, self._kind, key_id, derived_id, asked.reason, caller.origin)
        _, receipt = await taking(end, wait_of(request, caller, key_id))
        return json_reply({"key_id": key_id, "derived_id": derived_id, "status": "revoked", **receipt})
