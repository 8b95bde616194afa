"""Replies about webhooks."""

from __future__ import annotations

from keyscope.api.replies.shape import Reply
from keyscope.authority.webhooks import KINDS, Delivery, Endpoint
from keyscope.model.secret import Secret


class WebhookView(Reply):
    """Who is told of what. ``_ms`` are Unix milliseconds."""

    id: str
    url: str
    kinds: list[str]
    created_at_ms: int


class AddedWebhook(WebhookView):
    """A new one, with the secret that its messages are signed with. It is shown only now."""

    secret: str


class WebhookList(Reply):
    webhooks: list[WebhookView]


class RemovedWebhook(Reply):
    id: str


class DeadView(Reply):
    """A message that was given up: ``outcome`` is that of the last of its tries."""

    message_id: str
    webhook_id: str
    kind: str
    at_ms: int
    dead_at_ms: int
    tries: int
    outcome: str


class DeadList(Reply):
    dead: list[DeadView]


class Retried(Reply):
    id: str
    messages: int


def webhook_view(endpoint: Endpoint) -> dict[str, object]:
    kinds = list(endpoint.kinds or KINDS)
    return {"id": endpoint.id, "url": endpoint.url, "kinds": kinds, "created_at_ms": endpoint.created_at_ms}


def added_view(endpoint: Endpoint, secret: Secret) -> dict[str, object]:
    return {**webhook_view(endpoint), "secret": secret.reveal()}


def dead_view(delivery: Delivery) -> dict[str, object]:
    return {
        "message_id": delivery.id,
        "webhook_id": delivery.endpoint.id,
        "kind": delivery.kind,
        "at_ms": delivery.at_ms,
        "dead_at_ms": delivery.dead_at_ms,
        "tries": delivery.tries,
        "outcome": delivery.outcome,
    }
