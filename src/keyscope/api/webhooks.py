"""``/keyscope/webhooks``: who is told of what happens to the account's keys. For standard keys."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Desk, admitted, in_thread, json_reply, read
from keyscope.api.documented import BODY, responses
from keyscope.api.replies.webhooks import (
    AddedWebhook,
    DeadList,
    RemovedWebhook,
    Retried,
    WebhookList,
    added_view,
    dead_view,
    webhook_view,
)
from keyscope.api.requests import AddWebhook


class WebhookRoutes:
    """``/keyscope/webhooks`` and what is below it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._webhooks = desk.webhooks
        self.router = APIRouter(prefix="/keyscope/webhooks", tags=["webhooks"])
        add = self.router.add_api_route
        add("", self.all, methods=["GET"], operation_id="listWebhooks", responses=responses(WebhookList, 401, 403))
        add("", self.add, methods=["POST"], operation_id="addWebhook",
            openapi_extra=BODY(AddWebhook, required=True),
            responses=responses(AddedWebhook, 400, 401, 403, 413, 415))  # fmt: skip
        add("/dead", self.dead, methods=["GET"], operation_id="listDeadMessages",
            responses=responses(DeadList, 401, 403))  # fmt: skip
        add("/{webhook_id}/remove", self.remove, methods=["POST"], operation_id="removeWebhook",
            responses=responses(RemovedWebhook, 400, 401, 403, 404))  # fmt: skip
        add("/{webhook_id}/retry", self.retry, methods=["POST"], operation_id="retryWebhook",
            responses=responses(Retried, 400, 401, 403, 404))  # fmt: skip

    async def all(self, request: Request) -> Response:
        """Who is told of what. Standard keys only."""
        caller = admitted(request, self._desk)
        found = await in_thread(lambda: self._webhooks.all(caller.lineage))
        return json_reply({"webhooks": [webhook_view(endpoint) for endpoint in found]})

    async def add(self, request: Request) -> Response:
        """Tell an address of what happens to keys from now on; the secret is shown only now. Standard keys only."""
        caller = admitted(request, self._desk)
        asked, _ = await read(request, self._desk, AddWebhook)
        add = self._webhooks.add
        endpoint, secret = await in_thread(lambda: add(caller.lineage, asked.url, asked.kinds or [], caller.origin))
        return json_reply(added_view(endpoint, secret))

    async def remove(self, request: Request, webhook_id: str) -> Response:
        """Tell it nothing more, what waits for it included. Standard keys only."""
        caller = admitted(request, self._desk)
        await in_thread(lambda: self._webhooks.remove(caller.lineage, webhook_id, caller.origin))
        return json_reply({"id": webhook_id})

    async def dead(self, request: Request) -> Response:
        """The messages that were given up, newest first, a hundred at most. Standard keys only."""
        caller = admitted(request, self._desk)
        found = await in_thread(lambda: self._webhooks.dead(caller.lineage))
        return json_reply({"dead": [dead_view(delivery) for delivery in found]})

    async def retry(self, request: Request, webhook_id: str) -> Response:
        """Try again what was given up of one webhook. Standard keys only."""
        caller = admitted(request, self._desk)
        messages = await in_thread(lambda: self._webhooks.retry(caller.lineage, webhook_id))
        return json_reply({"id": webhook_id, "messages": messages})
