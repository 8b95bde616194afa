"""The few ASGI shapes that Keyscope speaks, and sending a whole answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TypeAlias

from keyscope.wire.problem import Answer

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
RawHeaders: TypeAlias = list[tuple[bytes, bytes]]


_LAST = frozenset({"http.response.body", "websocket.http.response.body", "websocket.close"})
_MOST_DISCARDED_BYTES = 65536
_DISCARD_S = 0.5


class Conversation:
    """One request and its answer: knows whether the answer has begun, and reads a body that nobody wanted.

    A server closes the connection after an answer that left a body unread, without a word. A caller that sends its
    next request at that moment sees a lost connection, and an SDK then sends again what was refused for good. So a
    small body is read before a refusal goes out. A large, slow or not yet invited one (``Expect``) is left unread, and
    the refusal says that the connection ends (RFC 9112 section 9.6).
    """

    __slots__ = ("_ended", "_headers", "_read", "_receive", "_send", "_version", "started")

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._headers: RawHeaders = scope["headers"]
        self._version: str = scope.get("http_version", "1.1")
        self._receive = receive
        self._send = send
        self._read = False
        self._ended = False
        self.started = False

    async def receive(self) -> Message:
        self._read = True
        return await self._next()

    async def send(self, message: Message) -> None:
        if not self.started and message.get("status", 200) >= 400 and self._has_body():
            if not self._read:
                await self._discard_body()
            # The server itself reads on to the end of a small one that was begun.
            if not (self._ended or self._has_small_body()) and self._version.startswith("1"):
                message["headers"] = [*message["headers"], (b"connection", b"close")]
        self.started = True
        await self._send(message)

    async def _next(self) -> Message:
        message = await self._receive()
        self._ended = not message.get("more_body", False)
        return message

    async def _discard_body(self) -> None:
        left = _MOST_DISCARDED_BYTES if self._has_small_body() else 0
        try:
            async with asyncio.timeout(_DISCARD_S):
                while left > 0 and not self._ended:
                    left -= len((await self._next()).get("body", b""))
        except TimeoutError:
            return

    def _has_body(self) -> bool:
        return any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in self._headers
        )

    def _has_small_body(self) -> bool:
        fields = dict(self._headers)
        if b"expect" in fields:
            return False
        length = fields.get(b"content-length", b"0")
        return b"transfer-encoding" in fields or (length.isdigit() and int(length[:20]) <= _MOST_DISCARDED_BYTES)


def last_one(scope: Scope, send: Send) -> Send:
    """A ``send`` whose answer is the last one on its connection (RFC 9112 section 9.6).

    HTTP/2 has a frame for that, which the server itself sends at its end.
    """
    if not scope.get("http_version", "1.1").startswith("1"):
        return send

    async def closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            fields = [field for field in message["headers"] if field[0] != b"connection"]
            message["headers"] = [*fields, (b"connection", b"close")]
        await send(message)

    return closing


@contextmanager
def until_answered(send: Send, done: Callable[[], None]) -> Iterator[Send]:
    """A ``send`` for one answer, and ``done`` called once: before the last of the answer goes out, so that whoever has
    all of it finds the call ended; at the end of the block, if it never does.
    """
    left = [done]

    async def ending(message: Message) -> None:
        if left and message["type"] in _LAST and not message.get("more_body", False):
            left.pop()()
        await send(message)

    try:
        yield ending
    finally:
        if left:
            left.pop()()


async def send_answer(send: Send, answer: Answer) -> None:
    """Send status, headers and body of a local answer."""
    await send({"type": "http.response.start", "status": answer.status, "headers": list(answer.headers)})
    await send({"type": "http.response.body", "body": answer.body})


async def refuse_websocket(send: Send, answer: Answer) -> None:
    """Refuse a WebSocket handshake with an ordinary HTTP answer (ASGI's denial response extension)."""
    await send({"type": "websocket.http.response.start", "status": answer.status, "headers": list(answer.headers)})
    await send({"type": "websocket.http.response.body", "body": answer.body})
