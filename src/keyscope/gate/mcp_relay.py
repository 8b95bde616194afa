"""The upstream's answer to an MCP message on its way to the caller: as it comes, while the key may have it."""

from __future__ import annotations

from functools import partial

import aiohttp
from msgspec import Struct

from keyscope.errors import UpstreamAnswer
from keyscope.gate.events import Events
from keyscope.gate.exchange import Exchange
from keyscope.gate.mcp_lists import MAX_BYTES, May, cut_down
from keyscope.gate.passing import pass_on
from keyscope.gate.stream import EVENTS
from keyscope.wire.asgi import RawHeaders, Send, send_answer
from keyscope.wire.problem import Answer
from keyscope.wire.rpc import Id, rpc_answer

_JSON = "application/json"
_OF_THE_OLD_BODY = frozenset({b"content-length", b"etag", b"digest", b"content-digest", b"repr-digest"})


class Relay(Struct, frozen=True):
    """Passes one answer on. ``may`` is None if there is no list in it that the key may see only in part."""

    response: aiohttp.ClientResponse
    headers: RawHeaders
    request_id: Id
    may: May | None

    async def __call__(self, exchange: Exchange, send: Send) -> None:
        """Raises UpstreamAnswer, and Withdrawn, only before anything was sent."""
        kind = self.response.content_type
        if 300 <= self.response.status < 400:
            raise UpstreamAnswer("a redirect: give the endpoint's own address as --upstream")
        if self.may is None:
            await pass_on(self.response, self.headers, exchange, send, last_event=self._last_event)
        elif kind == _JSON:
            await self._whole(self.may, exchange, send)
        elif kind == EVENTS:
            self._check_plain()
            edit = Events(partial(cut_down, may=self.may))
            await pass_on(self.response, self._other_body(), exchange, send, edit, self._last_event)
        elif self.response.status < 400:
            raise UpstreamAnswer(f"a list as {kind}")
        else:
            await pass_on(self.response, self.headers, exchange, send)

    async def _whole(self, may: May, exchange: Exchange, send: Send) -> None:
        self._check_plain()
        body = cut_down(await exchange.head(self._read()), may)
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

    def _last_event(self, why: Answer) -> bytes:
        """What ends a stream of events: the JSON-RPC error that says why, if somebody waits for an answer."""
        if self.request_id is None:
            return b""
        return b"event: message\ndata: " + rpc_answer(why, self.request_id).body + b"\n\n"
