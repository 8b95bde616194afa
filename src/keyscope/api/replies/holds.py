"""Replies about held calls."""

from __future__ import annotations

from base64 import b64encode
from typing import Literal

from keyscope.api.replies.shape import Reply
from keyscope.authority.holds import Given, Request
from keyscope.model.held import Held
from keyscope.wire.held import held_view

HeldStatus = Literal[
    "held", "approved", "running", "done", "refused", "cancelled", "expired", "denied", "failed", "unknown"
]


class HeldView(Reply):
    """A held call. ``path`` has the query, too. ``digest`` is SHA-256 of method, path and body, a zero byte between.

    ``deadline_ms`` is when it is refused if nobody has approved it, ``runs_at_ms`` when it is sent unless somebody has
    refused it: one of the two. Times are Unix milliseconds.
    """

    id: str
    status: HeldStatus
    message: str
    see: str
    operation: str
    method: str
    path: str
    digest: str
    key_id: str
    derived_id: str | None
    request_id: str | None
    created_at_ms: int
    deadline_ms: int | None
    runs_at_ms: int | None
    decided_by: str | None
    decided_at_ms: int | None
    reason: str | None
    ended_at_ms: int | None
    answer_status: int | None


class Content(Reply):
    """``body`` if it is UTF-8, otherwise ``body_base64``."""

    content_type: str | None
    body: str | None
    body_base64: str | None


class GivenView(Content):
    """What the API answered. ``is_whole`` false: there was more, which was not kept."""

    status: int
    is_whole: bool


class HeldDetail(HeldView):
    """The same with the request, as it is sent, and the answer."""

    request: Content
    answer: GivenView | None


class HeldList(Reply):
    holds: list[HeldView]
    has_more: bool


def detail_view(held: Held, request: Request, given: Given | None) -> dict[str, object]:
    kinds = [value.decode("latin-1") for name, value in request.headers if name == b"content-type"]
    shown = None
    if given is not None:
        whole = {"status": given.status, "is_whole": given.is_whole}
        shown = {**_content(given.content_type or None, given.body), **whole}
    return {**held_view(held), "request": _content(kinds[0] if kinds else None, request.body), "answer": shown}


def _content(content_type: str | None, body: bytes) -> dict[str, object]:
    try:
        return {"content_type": content_type, "body": body.decode(), "body_base64": None}
    except UnicodeDecodeError:
        return {"content_type": content_type, "body": None, "body_base64": b64encode(body).decode("ascii")}
