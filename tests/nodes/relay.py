"""What lies between a node and PostgreSQL: a relay that can hold everything back, cut, delay, or lose notifications."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

from tests.live import free_port

_NOTIFICATION = b"A"


class Relay:
    """Listens on ``port`` of 127.0.0.1 in a thread of its own. The connections must not be encrypted."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.port = free_port()
        self.holds = False
        """Nothing goes through, and nobody is told: a network that swallows packets."""
        self.refuses = False
        """New connections are closed at once."""
        self.delay_s = 0.0
        """Everything comes so much later, in both directions."""
        self.loses_notices = False
        self._loop = asyncio.new_event_loop()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Relay:
        started = threading.Event()
        self._serving = self._loop.create_task(self._serve(started))
        self._thread.start()
        assert started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def cut(self) -> None:
        """Close what is open."""
        self._loop.call_soon_threadsafe(self._abort)

    def _abort(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _end(self) -> None:
        self.holds = False
        self._serving.cancel()
        self._abort()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.01)  # for transports to close

    async def _serve(self, started: threading.Event) -> None:
        async with await asyncio.start_server(self._relay, "127.0.0.1", self.port):
            started.set()
            await asyncio.Event().wait()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._noted(writer), contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if not self.refuses:
                far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
                with self._noted(far_writer):
                    await _first_of(self._pump(reader, far_writer), self._pump_messages(far_reader, writer))

    @contextlib.contextmanager
    def _noted(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        self._writers.add(writer)
        try:
            yield
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            await self._pass(writer, data)

    async def _pump_messages(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The server speaks in messages: a letter, a length, the rest."""
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(int.from_bytes(head[1:]) - 4)
            if not (self.loses_notices and head[:1] == _NOTIFICATION):
                await self._pass(writer, head + body)

    async def _pass(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        while self.holds:
            await asyncio.sleep(0.01)
        if self.delay_s:
            self._loop.call_later(self.delay_s, _write, writer, data)
        else:
            writer.write(data)
            await writer.drain()


async def _first_of(*works: Coroutine[Any, Any, None]) -> None:
    """Until one of them ends; then the others are ended."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _write(writer: Any, data: bytes) -> None:
    if not writer.is_closing():
        writer.write(data)
