"""``/keyscope/holds``: the calls that wait for approval, or for their time, and what became of others."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Desk, admitted, in_thread, json_reply, number, one, read
from keyscope.api.documented import BODY, parameter, responses
from keyscope.api.replies.holds import HeldDetail, HeldList, HeldView, detail_view
from keyscope.api.requests import ApproveHold, RevokeKey
from keyscope.authority.ports import HeldQuery
from keyscope.errors import BadRequest, Fault
from keyscope.model.held import HeldState
from keyscope.wire.held import PATH, held_view

_DEFAULT, _MOST = 20, 1000
_LIST = [
    parameter("status", "Only those in this state.", {"type": "string", "enum": [*HeldState]}),
    parameter("key_id", "Only those of this key.", {"type": "string"}),
    parameter("limit", "How many.", {"type": "integer", "minimum": 1, "maximum": _MOST, "default": _DEFAULT}),
    parameter("starting_after", "The last id of the page before.", {"type": "string"}),
]


class HoldRoutes:
    """What can be asked about held calls, and decided."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._holds = desk.holds
        self.router = APIRouter(prefix=PATH, tags=["holds"])
        add = self.router.add_api_route
        add("", self.all, methods=["GET"], operation_id="listHolds", openapi_extra={"parameters": _LIST},
            responses=responses(HeldList, 400, 401, 403))  # fmt: skip
        add("/{hold_id}", self.get, methods=["GET"], operation_id="getHold",
            responses=responses(HeldDetail, 400, 401, 404))  # fmt: skip
        add("/{hold_id}/approve", self.approve, methods=["POST"], operation_id="approveHold",
            openapi_extra=BODY(ApproveHold), responses=responses(HeldView, 400, 401, 403, 404, 409, 413, 415),
        )  # fmt: skip
        add("/{hold_id}/refuse", self.refuse, methods=["POST"], operation_id="refuseHold",
            openapi_extra=BODY(RevokeKey), responses=responses(HeldView, 400, 401, 403, 404, 409, 413, 415),
        )  # fmt: skip

    async def all(self, request: Request) -> Response:
        """The held calls that the key may see, newest first: all of the account for a standard key, else its tree's."""
        caller = admitted(request, self._desk)
        faults: list[Fault] = []
        query = HeldQuery(
            account_id=caller.lineage.key.account_id,
            limit=number(request, "limit", faults, least=1, most=_MOST) or _DEFAULT,
            state=_state(request, faults),
            key_id=one(request, "key_id"),
            starting_after=one(request, "starting_after"),
        )
        if faults:
            raise BadRequest("query", faults)
        found, has_more = await in_thread(lambda: self._holds.all(caller.lineage, query))
        return json_reply({"holds": [held_view(held) for held in found], "has_more": has_more})

    async def get(self, request: Request, hold_id: str) -> Response:
        """One held call, with its request, and with the API's answer once there is one."""
        caller = admitted(request, self._desk)
        held = await in_thread(lambda: self._holds.get(caller.lineage, hold_id))
        return json_reply(detail_view(held, self._holds.request(held), self._holds.given(held)))

    async def approve(self, request: Request, hold_id: str) -> Response:
        """Have a held call sent. Standard keys only. With ``digest``, only if it is that of the call."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, ApproveHold)
        digest = bytes.fromhex(asked.digest) if asked.digest is not None else None
        approve = self._holds.approve
        held = await in_thread(lambda: approve(caller.lineage, hold_id, digest, asked.reason, caller.origin))
        return json_reply(held_view(held))

    async def refuse(self, request: Request, hold_id: str) -> Response:
        """Have a held call never sent: a standard key refuses it, the key that made it cancels it."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, RevokeKey)
        held = await in_thread(lambda: self._holds.refuse(caller.lineage, hold_id, asked.reason, caller.origin))
        return json_reply(held_view(held))


def _state(request: Request, faults: list[Fault]) -> HeldState | None:
    word = one(request, "status")
    if word is None:
        return None
    try:
        return HeldState(word)
    except ValueError:
        faults.append(Fault("query.status", f"use one of {', '.join(HeldState)}"))
        return None
