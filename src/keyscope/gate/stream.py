"""The body of an answer on its way to the caller, and where an event of our own may stand in it."""

from __future__ import annotations

import re
from typing import Protocol

import aiohttp

from keyscope.wire.asgi import Send
from keyscope.wire.codec import decode_strict, encode
from keyscope.wire.problem import Answer

EVENTS = "text/event-stream"
LINE_END = rb"(?>\r\n|\n|\r)"
EVENT_END = re.compile(LINE_END + LINE_END)
"""The blank line that ends an event (HTML, section 9.2.5)."""
_AT_END = re.compile(EVENT_END.pattern + rb"\Z")
_LONGEST_END = 4

# Granian holds the head of an answer back until the first part of its body, and says 500 itself if none ever comes.
NOTHING_YET = {"type": "http.response.body", "body": b"", "more_body": True}


class Edit(Protocol):
    """Changes a body on its way. Both methods may raise KeyscopeError, and the answer then breaks off."""

    def feed(self, chunk: bytes) -> bytes:
        """What can go on once these bytes have come."""

    def close(self) -> bytes:
        """The rest, after the last of them."""


class Stream:
    """Passes chunks on as they come. ``edit`` may keep some of it back, or change it."""

    def __init__(self, response: aiohttp.ClientResponse, send: Send, edit: Edit | None = None) -> None:
        self._response = response
        self._send = send
        self._edit = edit
        self._end = b"\n\n"

    async def copy(self, begun: bytes = b"") -> None:
        """Pass all of it on, after what was read of it already."""
        await self._take(begun)
        async for chunk in self._response.content.iter_any():
            await self._take(chunk)
        if self._edit is not None:
            await self._pass(self._edit.close())

    async def _take(self, chunk: bytes) -> None:
        await self._pass(self._edit.feed(chunk) if self._edit is not None else chunk)

    async def _pass(self, part: bytes) -> None:
        if part:
            self._end = (self._end + part)[-_LONGEST_END:]
            await self._send({"type": "http.response.body", "body": part, "more_body": True})

    @property
    def takes_event(self) -> bool:
        """Whether an event can stand here: these are events, not in a content coding, and the last one is whole."""
        plain = "content-encoding" not in self._response.headers
        return plain and self._response.content_type == EVENTS and _AT_END.search(self._end) is not None


def error_event(why: Answer) -> bytes:
    """The event that ends a stream, in the form that Runloop's SDKs raise as an error.

    ``code`` is the HTTP status. It is never 408, on which they would connect again.
    """
    said = decode_strict(why.body)
    message = said.get("message") if isinstance(said, dict) else None
    return b"event: error\ndata: " + encode({"code": why.status, "message": message, "problem": said}) + b"\n\n"
