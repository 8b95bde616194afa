"""The upstream's answer to an MCP message on its way to the caller: as it comes, while the key may have it."""

from __future__ import annotations

import re

import aiohttp
from msgspec import Struct

from keyscope.errors import KeyscopeError, UpstreamAnswer
from keyscope.gate.exchange import BrokenOff, Exchange
from keyscope.gate.mcp_lists import EVENT_END, MAX_BYTES, Events, May, cut_down
from keyscope.gate.proxy import pass_on
from keyscope.gate.standing import Standing, Withdrawn
from keyscope.wire.asgi import RawHeaders, Send, send_answer
from keyscope.wire.problem import Answer
from keyscope.wire.rpc import Id, rpc_answer

_JSON, _STREAM = "application/json", "text/event-stream"
_AT_END = re.compile(EVENT_END.pattern + rb"\Z")
_OF_THE_OLD_BODY = frozenset({b"content-length", b"etag", b"digest", b"content-digest", b"repr-digest"})


class Relay(Struct, frozen=True):
    """Passes one answer on. ``may`` is None if there is no list in it that the key may see only in part."""

    response: aiohttp.ClientResponse
    headers: RawHeaders
    standing: Standing
    request_id: Id
    may: May | None

    async def __call__(self, exchange: Exchange, send: Send) -> None:
        """Raises UpstreamAnswer, and Withdrawn, only before anything was sent."""
        kind = self.response.content_type
        if 300 <= self.response.status < 400:
            raise UpstreamAnswer("a redirect: give the endpoint's own address as --upstream")
        if self.may is None:
            await pass_on(self.response, self.headers, exchange, send, lambda: self._copy(send, None))
        elif kind == _JSON:
            await self._whole(self.may, exchange, send)
        elif kind == _STREAM:
            self._check_plain()
            events = Events(self.may)
            await pass_on(self.response, self._other_body(), exchange, send, lambda: self._copy(send, events))
        elif self.response.status < 400:
            raise UpstreamAnswer(f"a list as {kind}")
        else:
            await pass_on(self.response, self.headers, exchange, send)

    async def _whole(self, may: May, exchange: Exchange, send: Send) -> None:
        self._check_plain()
        body = cut_down(await exchange.head(self.standing.hold(self._read())), may)
        headers = [*self._other_body(), (b"content-length", str(len(body)).encode())]
        await send_answer(send, Answer(self.response.status, tuple(headers), body))

    async def _read(self) -> bytes:
        body = bytearray()
        async for chunk in self.response.content.iter_any():
            body += chunk
            if len(body) > MAX_BYTES:
                raise UpstreamAnswer(f"a list of more than {MAX_BYTES} bytes")
        return bytes(body)

    def _check_plain(self) -> None:
        if "content-encoding" in self.response.headers:
            raise UpstreamAnswer("a list in a content coding that was not asked for")

    def _other_body(self) -> RawHeaders:
        return [(name, value) for name, value in self.headers if name not in _OF_THE_OLD_BODY]

    async def _copy(self, send: Send, events: Events | None) -> None:
        ends = b"\n\n"
        try:
            while chunk := await self.standing.hold(self.response.content.readany()):
                passed = events.feed(chunk) if events is not None else chunk
                if passed:
                    ends = (ends + passed)[-4:]
                    await send({"type": "http.response.body", "body": passed, "more_body": True})
        except Withdrawn as withdrawn:
            await self._end(send, withdrawn.answer, between=_AT_END.search(ends) is not None)
        except KeyscopeError as error:
            raise BrokenOff(error.detail) from error

    async def _end(self, send: Send, why: Answer, *, between: bool) -> None:
        """End a stream between two events with the reason, and anything else in the middle."""
        self.response.close()
        if self.response.content_type != _STREAM or not between:
            raise BrokenOff("the key may have it no longer")
        if self.request_id is not None:
            event = b"event: message\ndata: " + rpc_answer(why, self.request_id).body + b"\n\n"
            await send({"type": "http.response.body", "body": event, "more_body": True})
