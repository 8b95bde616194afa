"""A TCP relay before the server that counts requests as they pass, and can lose answers.

The clients' own retries cannot hide from it: it counts heads in HTTP/1.1 and HEADERS frames in HTTP/2.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import threading
from types import TracebackType

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_HEAD = re.compile(rb"[A-Z]+ /[^ \r\n]* HTTP/1\.1\r\n")
_KEY = re.compile(rb"[ar]k_[0-9A-Za-z]{49}")
_FRAME_HEAD = 9
_HEADERS_FRAME = 1


def count_requests(sent: bytes) -> int:
    """The requests in all that a client sent on one connection."""
    if not sent.startswith(_PREFACE):
        return len(_HEAD.findall(sent))
    at, found = len(_PREFACE), 0
    while at + _FRAME_HEAD <= len(sent):
        found += sent[at + 3] == _HEADERS_FRAME
        at += _FRAME_HEAD + int.from_bytes(sent[at : at + 3])
    return found


class Relay:
    """A context manager.

    The first ``lose`` answers, which must show a key, are dropped: the server has replied, and the client's connection
    is reset before a byte of it. ``lost`` has their keys.
    """

    def __init__(self, port: int, lose: int = 0) -> None:
        self._target = port
        self._lose = lose
        self.lost: list[str] = []
        self._sent: list[bytearray] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def requests(self) -> int:
        """How many requests have passed so far."""
        return sum(count_requests(bytes(sent)) for sent in self._sent)

    def __enter__(self) -> Relay:
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

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        sent = bytearray()
        self._sent.append(sent)
        ways = [
            asyncio.ensure_future(_pass(reader, server_writer, sent)),
            asyncio.ensure_future(self._answer(server_reader, writer, sent)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(*ways, return_exceptions=True)
            self._tasks.discard(task)
            writer.close()
            server_writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytearray) -> None:
        while chunk := await reader.read(65536):
            # In HTTP/2 the server speaks first (SETTINGS); an answer is what comes after the first whole request.
            if self._lose and count_requests(bytes(sent)) and _is_answer(chunk):
                self._lose -= 1
                self.lost.append(await _whole(reader, chunk))
                _reset(writer)
                return
            writer.write(chunk)
            await writer.drain()


def _is_answer(chunk: bytes) -> bool:
    """Whether this is the start of an answer: HTTP/1.1's, or HTTP/2 frames with HEADERS among them."""
    return chunk.startswith(b"HTTP/1.1 ") or count_requests(_PREFACE + chunk) > 0


async def _whole(reader: asyncio.StreamReader, start: bytes) -> str:
    """The key in an answer of which this is the start. Read until it is there: the server has then replied."""
    answer = start
    while not (found := _KEY.search(answer)):
        answer += await reader.read(65536)
    return found.group().decode("ascii")


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a reset, as a lost connection does. (The TypeScript client waits out a plain close for 30 s.)"""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytearray) -> None:
    while chunk := await reader.read(65536):
        sent += chunk
        writer.write(chunk)
        await writer.drain()
