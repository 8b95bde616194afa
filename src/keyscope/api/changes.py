"""``GET /keyscope/changes``: the account's changes as they happen, as Server-Sent Events (WHATWG HTML, section 9.2).

A follower is told three things and can rely on each: ``ready``, from which number on it hears everything; ``change``,
every change once and in order; ``heartbeat``, that at a time nothing beyond a number had been committed. The stream
ends with the key that opened it: it is judged anew before anything is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import MutableMapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Desk, admitted, call_of, number
from keyscope.api.documented import parameter, refusals
from keyscope.api.feed import News
from keyscope.authority.ports import StoredEvent
from keyscope.authority.verify import Verifier
from keyscope.errors import BadRequest, Fault, InvalidToken, KeyscopeError
from keyscope.model.decision import Allow
from keyscope.model.event import EventKind
from keyscope.wire.asgi import Receive, Scope, Send
from keyscope.wire.bearer import find_bearer
from keyscope.wire.call import Call
from keyscope.wire.codec import encode

log = logging.getLogger(__name__)

HEARTBEAT_S = 0.5
SLOWEST_S = 5.0
"""A follower that takes nothing for so long is dropped; it resumes where it was."""

_MOST = (1 << 53) - 1
_LAST_ID = b"last-event-id"
_AFTER = parameter(
    "after",
    "Only what came after this number; left out, from now on. A later `Last-Event-ID` wins.",
    {"type": "integer", "format": "int64", "minimum": 0, "maximum": _MOST},
)
_STREAM: dict[str, Any] = {
    "description": "Server-Sent Events, until the follower goes or its key ends.",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
_HEADERS = [
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
]


class ChangeRoutes:
    """``/keyscope/changes``."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.router = APIRouter(prefix="/keyscope", tags=["keyscope"])
        self.router.add_api_route(
            "/changes",
            self.follow,
            methods=["GET"],
            operation_id="followChanges",
            response_class=Response,
            openapi_extra={"parameters": [_AFTER]},
            responses={200: _STREAM, **refusals(400, 401, 403)},
        )

    async def follow(self, request: Request) -> Response:
        """The changes of the account, as they happen, as Server-Sent Events."""
        caller = admitted(request, self._desk)
        return ChangeStream(self._desk, call_of(request), caller.lineage.key.account_id, _after(request))


def _after(request: Request) -> int | None:
    """From where to go on. An EventSource that resumes asks its first URL again and names the last id that it saw."""
    faults: list[Fault] = []
    asked = number(request, "after", faults, most=_MOST)
    last = _last_id(call_of(request), faults)
    if asked is not None and last is not None and last < asked:
        faults.append(Fault("Last-Event-ID", f"it is before after={asked}; leave one of the two out"))
    if faults:
        raise BadRequest("after", faults)
    return asked if last is None else last


def _last_id(call: Call, faults: list[Fault]) -> int | None:
    values = [value for name, value in call.headers if name == _LAST_ID]
    if not values:
        return None
    if len(values) != 1 or not values[0].isdigit() or int(values[0][:20]) > _MOST:
        faults.append(Fault("Last-Event-ID", f"send it once, a whole number from 0 to {_MOST}"))
        return None
    return int(values[0])


class ChangeStream(Response):
    """One follower's answer, written as things happen."""

    def __init__(self, desk: Desk, call: Call, account_id: str, after: int | None) -> None:
        super().__init__()
        self._feed = desk.feed
        self._verifier = desk.verifier
        self._call = call
        self._account_id = account_id
        self._after = after

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Raises TooManyStreams and Unavailable only before anything was sent."""
        with self._feed.place(self._account_id):
            last = await self._feed.last_number()
            known = self._after is None or self._after <= last
            number = last if self._after is None or not known else self._after
            opening = [b"retry: 1000\n\n", *([] if known else [_reset(self._after, last)]), _ready(number)]
            await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
            gone = asyncio.ensure_future(_until_gone(receive))
            try:
                await _write(send, opening)
                await self._follow(number, gone, send)
                await send({"type": "http.response.body", "body": b""})
            except TimeoutError:
                log.info("a follower of changes took nothing for %s s", SLOWEST_S)
            except KeyscopeError as error:
                log.info("a stream of changes ended: %s", error.detail)
            finally:
                gone.cancel()

    async def _follow(self, number: int, gone: asyncio.Future[None], send: Send) -> None:
        """Until the follower goes or its key is good no longer. Raises Unavailable, and TimeoutError for a slow one."""
        now_s = asyncio.get_running_loop().time
        beat_at_s = now_s()
        while not gone.done():
            woken = self._feed.woken(self._account_id)
            news = await self._feed.after(self._account_id, number)
            if not _is_good(self._verifier, self._call):
                return
            number = news.number
            parts = [_change(stored) for stored in news.events]
            if news.at_ms is not None and now_s() >= beat_at_s:
                parts.append(_heartbeat(number, news.at_ms))
                beat_at_s = now_s() + HEARTBEAT_S
            await _write(send, parts)
            pause_s = _pause_s(news, beat_at_s - now_s())
            await asyncio.wait({gone, woken}, timeout=pause_s, return_when=asyncio.FIRST_COMPLETED)


def _pause_s(news: News, until_beat_s: float) -> float:
    """How long to wait for something new: not at all while an older page may be followed by another one."""
    return 0 if news.at_ms is None and news.events else max(until_beat_s, 0.01)


def _is_good(verifier: Verifier, call: Call) -> bool:
    """Whether the key that opened the stream may still do so. Raises Unavailable."""
    try:
        return isinstance(verifier.decide(find_bearer(call.headers), call.matched_method, call.path), Allow)
    except InvalidToken:
        return False


async def _until_gone(receive: Receive) -> None:
    message: MutableMapping[str, Any] = {"type": ""}
    while message["type"] != "http.disconnect":
        message = await receive()


async def _write(send: Send, parts: list[bytes]) -> None:
    if parts:
        async with asyncio.timeout(SLOWEST_S):
            await send({"type": "http.response.body", "body": b"".join(parts), "more_body": True})


def _event(kind: str, number: int, data: dict[str, object]) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (number, kind.encode("ascii"), encode(data))


def _ready(number: int) -> bytes:
    return _event("ready", number, {"number": number})


def _reset(asked: int | None, number: int) -> bytes:
    return _event("reset", number, {"number": number, "after": asked})


def _heartbeat(number: int, at_ms: int) -> bytes:
    return _event("heartbeat", number, {"number": number, "now_ms": at_ms})


def _change(stored: StoredEvent) -> bytes:
    event = stored.event
    derived = event.changes.get("derived_id") if event.kind is EventKind.DERIVED_KEY_REVOKED else None
    data = {"number": stored.number, "kind": event.kind.value, "key_id": event.key_id, "at_ms": event.at_ms}
    return _event("change", stored.number, {**data, "derived_id": derived})
