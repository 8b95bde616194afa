"""A thousand event streams at once: each gets its own event, and what one costs is known."""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.gate.memory import Memory
from tests.gate.raw import request_head
from tests.live import Live
from tests.recorder import Recorder, Seen

STREAMS = 1000
FILES = 3 * STREAMS
MOST_PER_STREAM = 256 * 1024


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """This process holds two ends of each stream."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(soft, FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@dataclass
class Waiting:
    """How many streams the upstream holds open, and the signal for their event."""

    open: int = 0
    go: asyncio.Event | None = None
    loop: asyncio.AbstractEventLoop | None = None

    async def stream(self, seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Say hello, wait for the signal, then send an event that names the stream."""
        if self.go is None:
            self.go, self.loop = asyncio.Event(), asyncio.get_running_loop()
        name = seen.target.rpartition("=")[2].encode()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        await writer.drain()
        self.open += 1
        await self.go.wait()
        event = b"data: " + name + b"\n\n"
        writer.write(f"{len(event):x}\r\n".encode() + event + b"\r\n0\r\n\r\n")
        await writer.drain()
        return True

    def signal(self) -> None:
        assert self.loop is not None
        assert self.go is not None
        self.loop.call_soon_threadsafe(self.go.set)


Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def listen(port: int, key: str, number: int) -> Connection:
    """Open one stream and read the head of its answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    target = f"/v1/axons/axn_1/subscribe/sse?after_sequence={number}"
    writer.write(request_head("GET", target, key))
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    return reader, writer


async def take_event(connection: Connection) -> bytes:
    """Read a stream to its end."""
    reader, writer = connection
    event = await reader.readuntil(b"0\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return event


def test_a_thousand_streams_at_once_each_get_their_event(live: Live, upstream: Recorder, key: str) -> None:
    assert live.call("GET", "/v1/devboxes", key).status_code == 200
    waiting, memory = Waiting(), Memory(live.pid)
    upstream.stream = waiting.stream
    before = memory.now

    async def work() -> list[bytes]:
        connections: list[Connection] = []
        for first in range(0, STREAMS, 100):
            batch = [listen(live.port, key, number) for number in range(first, first + 100)]
            connections += await asyncio.gather(*batch)
        assert waiting.open == STREAMS, "all of them are open at once"
        print(f"{(memory.now - before) / STREAMS / 1024:.1f} KiB for each of {STREAMS} streams")
        assert memory.now - before < STREAMS * MOST_PER_STREAM
        waiting.signal()
        return await asyncio.gather(*map(take_event, connections))

    async def within_a_minute() -> list[bytes]:
        async with asyncio.timeout(60):
            return await work()

    answers = asyncio.run(within_a_minute())
    for number, answer in enumerate(answers):
        assert f"data: {number}\n".encode() in answer
    assert live.call("GET", "/keyscope/healthz", "").status_code == 200
