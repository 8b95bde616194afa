"""An upstream that writes down, byte for byte, what reaches it. A plain HTTP/1.1 server on 127.0.0.1, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType


@dataclass(frozen=True)
class Seen:
    """One request as it arrived whole. Header names are lower-case; values and target are as sent."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for header, value in self.headers if header == name]

    def header(self, name: str) -> str | None:
        values = self.all(name)
        return values[0] if len(values) == 1 else None


@dataclass(frozen=True)
class Reply:
    """What to answer with."""

    status: int = 200
    body: bytes = b"{}"
    headers: list[tuple[str, str]] = field(default_factory=lambda: [("content-type", "application/json")])


Respond = Callable[[Seen], Reply]
Stream = Callable[[Seen, asyncio.StreamReader, asyncio.StreamWriter], Awaitable[bool]]
"""Answers a request by itself and returns True, or returns False to leave it to ``respond``."""


class Recorder:
    """A context manager. ``seen`` grows by one per whole request; ``partial`` by one per request that was cut off."""

    def __init__(self, respond: Respond | None = None, stream: Stream | None = None) -> None:
        self.seen: list[Seen] = []
        self.partial: list[str] = []
        self.respond: Respond = respond or (lambda _: Reply())
        self.stream = stream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Recorder:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def take(self) -> list[Seen]:
        """What came since the last time."""
        taken, self.seen = self.seen, []
        return taken

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        line, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = line.split(" ", 2)
        headers = [(name.lower(), value.strip()) for name, _, value in (text.partition(":") for text in rest if text)]
        streamed = Seen(method, target, headers, b"")
        if self.stream is not None and await self.stream(streamed, reader, writer):
            return False
        try:
            body = await _body(reader, headers)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.partial.append(f"{method} {target}")
            raise
        seen = Seen(method, target, headers, body)
        self.seen.append(seen)
        await _answer(writer, self.respond(seen), with_body=method != "HEAD")
        return True


async def _body(reader: asyncio.StreamReader, headers: list[tuple[str, str]]) -> bytes:
    fields = dict(headers)
    if "chunked" in fields.get("transfer-encoding", ""):
        parts = []
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        await reader.readexactly(2)
        return b"".join(parts)
    return await reader.readexactly(int(fields.get("content-length", "0")))


async def _answer(writer: asyncio.StreamWriter, reply: Reply, *, with_body: bool) -> None:
    lines = [f"HTTP/1.1 {reply.status} Recorded", f"content-length: {len(reply.body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (reply.body if with_body else b""))
    await writer.drain()
