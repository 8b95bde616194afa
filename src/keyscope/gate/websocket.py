"""WebSockets through the gate: judged as the GET that opens them, then relayed both ways.

The handshake is an ASGI scope of its own kind, which a gate that looks only at HTTP requests never sees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import aiohttp

from keyscope.authority.meter import Meter
from keyscope.authority.verify import Verifier
from keyscope.errors import NoUpstream, UpstreamFailure
from keyscope.gate.admit import first_look, lasting, let_through, standing_of
from keyscope.gate.headers import inward_websocket
from keyscope.gate.sight import OPENS, Sight, judged
from keyscope.gate.standing import Standing, Withdrawn
from keyscope.gate.timed import timed
from keyscope.gate.upstream import Upstream
from keyscope.model.decision import Allow
from keyscope.wire.asgi import Receive, Send, refuse_websocket
from keyscope.wire.call import Call
from keyscope.wire.problem import answer

_NORMAL = 1000
_GOING_AWAY = 1001
_NOT_ALLOWED = 1008
"""Policy violation: the key may have it no longer."""
_FAILED = 1011
_NO_STATUS = 1005
_NEVER_SENT = frozenset({0, 1006, 1015})
"""What a side says of a connection that was lost: RFC 6455 section 7.4.1 keeps these codes off the wire."""


class WebSocketGate:
    """Relays what the verifier allows."""

    def __init__(self, verifier: Verifier, upstream: Upstream | None, meter: Meter, sight: Sight = OPENS) -> None:
        self._verifier = verifier
        self._sight = sight
        self._upstream = upstream
        self._judging = meter.judging("websocket")

    async def __call__(self, scope: Mapping[str, Any], call: Call, receive: Receive, send: Send) -> None:
        """Answer one handshake and relay until either side ends."""
        seen = await judged(self._sight, partial(timed, self._judging, first_look, self._verifier, call))
        if not isinstance(seen, Allow):
            return await refuse_websocket(send, seen)
        if self._upstream is None:
            return await refuse_websocket(send, answer(NoUpstream()))
        admitted = let_through(self._verifier, seen, call)
        if not isinstance(admitted, Allow):
            return await refuse_websocket(send, admitted)
        with lasting(self._verifier, admitted, send) as ending:
            return await self._open(scope, call, admitted, self._upstream, receive, ending)

    async def _open(
        self, scope: Mapping[str, Any], call: Call, admitted: Allow, to: Upstream, receive: Receive, send: Send
    ) -> None:
        headers = inward_websocket(call.headers, admitted.lineage.key, to.key)
        try:
            upstream = await to.websocket(call.target, headers, tuple(scope.get("subprotocols", ())))
        except UpstreamFailure as failure:
            return await refuse_websocket(send, answer(failure))
        async with upstream:
            await receive()  # the connect message
            await send({"type": "websocket.accept", "subprotocol": upstream.protocol})
            await _relay(upstream, standing_of(self._verifier, call, admitted, self._sight), receive, send)
        return None


async def _relay(upstream: aiohttp.ClientWebSocketResponse, standing: Standing, receive: Receive, send: Send) -> None:
    inwards = asyncio.ensure_future(_to_upstream(upstream, receive))
    outwards = asyncio.ensure_future(_to_caller(upstream, send))
    withdrawn = False
    try:
        await standing.until_any({inwards, outwards})
    except Withdrawn:
        withdrawn = True
        await upstream.close(code=_GOING_AWAY)
    finally:
        by_caller = not withdrawn and inwards.done() and inwards.exception() is None
        inwards.cancel()
        outwards.cancel()
        await asyncio.gather(inwards, outwards, return_exceptions=True)
    if not by_caller:
        # Only now: Granian sends no close while somebody waits for the caller's next message.
        code = _NOT_ALLOWED if withdrawn else _code(upstream.close_code, lost=_FAILED)
        await send({"type": "websocket.close", "code": code})


async def _to_upstream(upstream: aiohttp.ClientWebSocketResponse, receive: Receive) -> None:
    """Returns when the caller has closed, or gone."""
    while True:
        message = await receive()
        if message["type"] == "websocket.disconnect":
            await upstream.close(code=_code(message.get("code"), lost=_GOING_AWAY))
            return
        if message.get("text") is not None:
            await upstream.send_str(message["text"])
        elif message.get("bytes") is not None:
            await upstream.send_bytes(message["bytes"])


async def _to_caller(upstream: aiohttp.ClientWebSocketResponse, send: Send) -> None:
    """Returns when the upstream has closed, or gone."""
    async for message in upstream:
        if message.type is aiohttp.WSMsgType.TEXT:
            await send({"type": "websocket.send", "text": message.data})
        elif message.type is aiohttp.WSMsgType.BINARY:
            await send({"type": "websocket.send", "bytes": message.data})


def _code(said: int | None, *, lost: int) -> int:
    """The close code to pass on; ``lost`` if the other side ended without one."""
    if said == _NO_STATUS:
        return _NORMAL
    return lost if said is None or said in _NEVER_SENT else said
