"""An upstream that writes down, byte for byte, what reaches it. A plain HTTP/1.1 server on 127.0.0.1, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
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
    """A context manager. ``seen`` grows by one per whole request; ``partial`` by one per request that was cut off or
    that is no HTTP. ``begun`` holds those whose head is here and whose body is not yet.
    """

    def __init__(self, respond: Respond | None = None, stream: Stream | None = None) -> None:
        self.seen: list[Seen] = []
        self.partial: list[str] = []
        self.begun: list[str] = []
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

    def settle(self) -> None:
        """Return once everything that has come to this machine's socket by now is in the lists."""
        asyncio.run_coroutine_threadsafe(_some_rounds(), self._loop).result(10)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self.port, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        await _some_rounds()  # a connection that came in this moment is somebody's by then
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
        except (asyncio.IncompleteReadError, ConnectionError, ValueError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        try:
            streamed = _parsed(head)
        except ValueError:
            self.partial.append(head[:80].decode("latin-1"))
            return False
        if self.stream is not None and await self.stream(streamed, reader, writer):
            return False
        seen = replace(streamed, body=await self._whole_body(streamed, reader))
        self.seen.append(seen)
        await _answer(writer, self.respond(seen), with_body=seen.method != "HEAD")
        return True

    async def _whole_body(self, streamed: Seen, reader: asyncio.StreamReader) -> bytes:
        name = f"{streamed.method} {streamed.target}"
        self.begun.append(name)
        try:
            return await _body(reader, streamed.headers)
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            self.partial.append(name)
            raise
        finally:
            self.begun.remove(name)


_ROUNDS = 8
"""An event loop accepts, reads and wakes the reader in one round each."""


async def _some_rounds() -> None:
    for _ in range(_ROUNDS):
        await asyncio.sleep(0)


def _parsed(head: bytes) -> Seen:
    line, *rest = head.decode("latin-1").split("\r\n")
    method, target, _ = line.split(" ", 2)
    return Seen(method, target, [_field(text) for text in rest if text], b"")


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(":")
    return name.lower(), value.strip()


async def _body(reader: asyncio.StreamReader, headers: list[tuple[str, str]]) -> bytes:
    """The body. Trailer fields are added to the headers, so that what comes in by that way shows, too."""
    fields = dict(headers)
    if "chunked" in fields.get("transfer-encoding", ""):
        parts = []
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            parts.append(await reader.readexactly(size))
            await reader.readexactly(2)
        while (line := await reader.readuntil(b"\r\n")) != b"\r\n":
            headers.append(_field(line.decode("latin-1")))
        return b"".join(parts)
    return await reader.readexactly(int(fields.get("content-length", "0")))


async def _answer(writer: asyncio.StreamWriter, reply: Reply, *, with_body: bool) -> None:
    lines = [f"HTTP/1.1 {reply.status} Recorded", f"content-length: {len(reply.body)}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + (reply.body if with_body else b""))
    await writer.drain()
