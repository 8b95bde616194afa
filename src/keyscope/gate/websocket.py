"""WebSockets through the gate: judged as the GET that opens them, then relayed both ways.

The handshake is an ASGI scope of its own kind, which a gate that looks only at HTTP requests never sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import aiohttp

from keyscope.authority.verify import Verifier
from keyscope.errors import NoUpstream, UpstreamFailure
from keyscope.gate.admit import admit
from keyscope.gate.headers import inward_websocket
from keyscope.gate.upstream import Upstream
from keyscope.model.decision import Allow
from keyscope.wire.asgi import Receive, Send, refuse_websocket
from keyscope.wire.call import Call
from keyscope.wire.problem import answer

_GOING_AWAY = 1001
_NO_STATUS = 1005


class WebSocketGate:
    """Relays what the verifier allows."""

    def __init__(self, verifier: Verifier, upstream: Upstream | None) -> None:
        self._verifier = verifier
        self._upstream = upstream

    async def __call__(self, scope: Mapping[str, Any], call: Call, receive: Receive, send: Send) -> None:
        """Answer one handshake and relay until either side ends."""
        admitted = admit(self._verifier, call)
        if not isinstance(admitted, Allow):
            return await refuse_websocket(send, admitted)
        if self._upstream is None:
            return await refuse_websocket(send, answer(NoUpstream()))
        headers = inward_websocket(call.headers, admitted.lineage.key, self._upstream.key)
        try:
            upstream = await self._upstream.websocket(call.target, headers, tuple(scope.get("subprotocols", ())))
        except UpstreamFailure as failure:
            return await refuse_websocket(send, answer(failure))
        async with upstream:
            await receive()  # the connect message
            await send({"type": "websocket.accept", "subprotocol": upstream.protocol})
            await _relay(upstream, receive, send)
        return None


async def _relay(upstream: aiohttp.ClientWebSocketResponse, receive: Receive, send: Send) -> None:
    directions = {
        asyncio.ensure_future(_to_upstream(upstream, receive)),
        asyncio.ensure_future(_to_caller(upstream, send)),
    }
    try:
        await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for direction in directions:
            direction.cancel()
        await asyncio.gather(*directions, return_exceptions=True)
    # Only when nobody waits for the caller's next message any more: the server closes no socket that is being read.
    await send({"type": "websocket.close", "code": upstream.close_code or _GOING_AWAY})


async def _to_upstream(upstream: aiohttp.ClientWebSocketResponse, receive: Receive) -> None:
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            code = message.get("code") or _GOING_AWAY
            await upstream.close(code=_GOING_AWAY if code == _NO_STATUS else code)
            return
        if message.get("text") is not None:
            await upstream.send_str(message["text"])
        elif message.get("bytes") is not None:
            await upstream.send_bytes(message["bytes"])


async def _to_caller(upstream: aiohttp.ClientWebSocketResponse, send: Send) -> None:
    async for message in upstream:
        if message.type is aiohttp.WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": message.data})
        elif message.type is aiohttp.WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": message.data})
