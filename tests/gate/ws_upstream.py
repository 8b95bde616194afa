"""A real WebSocket upstream on 127.0.0.1, in a thread, that writes down each handshake and how each ended."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from types import TracebackType

from aiohttp import WSMsgType, web


@dataclass
class Handshake:
    """One accepted handshake. ``closed`` is the code that the other side closed with, once it has."""

    target: str
    headers: list[tuple[str, str]]
    received: list[str | bytes] = field(default_factory=list)
    closed: int | None = None


class WebSocketUpstream:
    """Echoes messages. The text ``close CODE`` makes it close with that code, ``drop`` makes it vanish."""

    def __init__(self) -> None:
        self.handshakes: list[Handshake] = []
        self.refuse_with: int | None = None
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> WebSocketUpstream:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _listen(self) -> None:
        application = web.Application()
        application.router.add_route("*", "/{anything:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self.refuse_with is not None:
            return web.Response(status=self.refuse_with, text="refused by the upstream")
        socket = web.WebSocketResponse(protocols=("pty.v1", "pty.v2"), max_msg_size=0)
        await socket.prepare(request)
        fields = [(name.lower(), value) for name, value in request.headers.items()]
        handshake = Handshake(request.raw_path, fields)
        self.handshakes.append(handshake)
        await _echo(socket, request, handshake)
        handshake.closed = socket.close_code
        return socket


async def _echo(socket: web.WebSocketResponse, request: web.Request, handshake: Handshake) -> None:
    async for message in socket:
        handshake.received.append(message.data)
        if message.type is WSMsgType.BINARY:
            await socket.send_bytes(message.data)
        elif message.data == "drop" and request.transport is not None:
            request.transport.abort()
        elif message.data.startswith("close "):
            await socket.close(code=int(message.data.split()[1]), message=b"as asked")
        else:
            await socket.send_str(message.data)
