"""A thousand event streams, all open through the gate at once, and each hears the same event."""

from __future__ import annotations

import asyncio
import resource
import time
from urllib.parse import urlsplit

from bench import keys
from bench.processes import Running, resident_mib
from bench.report import Row, at_least, known

STREAMS = 1000
_TIMEOUT_S = 60


def measure(gate: Running) -> list[Row]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    try:
        return asyncio.run(_measure(gate))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def _measure(gate: Running) -> list[Row]:
    before = resident_mib(gate.pid)
    opened = [await _open(gate.url) for _ in range(STREAMS)]
    held = resident_mib(gate.pid) - before
    began = time.monotonic()
    listening = [asyncio.ensure_future(_hears(stream[0], b"data: shout")) for stream in opened]
    shouting = await _open(gate.url, "POST", "/v1/shout", b"HTTP/1.1 200")
    heard = await asyncio.gather(*listening)
    took_ms = (time.monotonic() - began) * 1000
    for _, writer in [*opened, shouting]:
        writer.close()
    return [
        Row("event streams open at once, each of which heard the event", sum(heard), "streams", at_least(STREAMS)),
        Row("memory of the server per open stream", held * 1024 / STREAMS, "KiB", known()),
        Row("until the last stream has heard the event", took_ms, "ms", known()),
    ]


async def _open(
    url: str, method: str = "GET", path: str = "/v1/stream", until: bytes = b"data: open"
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    credential = f"authorization: Bearer {keys.secret(0).reveal()}\r\n"
    length = "content-length: 0\r\n" if method == "POST" else ""
    writer.write(f"{method} {path} HTTP/1.1\r\nhost: {parts.netloc}\r\n{credential}{length}\r\n".encode())
    if not await _hears(reader, until):
        raise RuntimeError(f"{method} {path} was not answered")
    return reader, writer


async def _hears(reader: asyncio.StreamReader, words: bytes) -> bool:
    try:
        await asyncio.wait_for(reader.readuntil(words), _TIMEOUT_S)
    except (TimeoutError, OSError, EOFError):
        return False
    return True
