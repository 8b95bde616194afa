"""``POST /keyscope/me/renew``: a key that is bound to a run says that the run goes on."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api import requests
from keyscope.api.caller import Desk, admitted, in_thread, json_reply, read
from keyscope.api.documented import BODY, responses
from keyscope.api.replies.shape import RunView, run_view


class RunRoutes:
    """What keys do that are bound to runs."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.router = APIRouter(prefix="/keyscope", tags=["keyscope"])
        self.router.add_api_route(
            "/me/renew", self.renew, methods=["POST"], operation_id="renewMe",
            openapi_extra=BODY(requests.Nothing), responses=responses(RunView, 400, 401, 403, 413, 415),
        )  # fmt: skip

    async def renew(self, request: Request) -> Response:
        """Begin the calling key's lease anew, from now on. A lease that has ended cannot be renewed."""
        caller = admitted(request, self._desk)
        await read(request, self._desk, requests.Nothing)
        run = await in_thread(lambda: self._desk.runs.renew(caller.lineage, caller.origin))
        return json_reply(run_view(run))
