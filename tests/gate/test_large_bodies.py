"""Uploads and downloads of over 100 MB pass in bounded memory, and a slow end holds up the fast one."""

from __future__ import annotations

import asyncio
import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.gate.memory import Memory
from tests.gate.raw import Raw, request_head
from tests.live import Live
from tests.recorder import Recorder, Seen

MIB = 1 << 20
SIZE = 160 * MIB
BLOCK = os.urandom(MIB)
MOST_GROWTH = 64 * MIB
UPLOAD = "/v1/devboxes/dbx_1/upload_file"
DOWNLOAD = "/v1/devboxes/dbx_1/download_file"
MULTIPART = ("content-type", "multipart/form-data; boundary=b0undary")
BEFORE = b'--b0undary\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n'
AFTER = b"\r\n--b0undary--\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def parts() -> Iterator[bytes]:
    """A multipart body of over 100 MB."""
    yield BEFORE
    for _ in range(SIZE // MIB):
        yield BLOCK
    yield AFTER


def digest_of(blocks: Iterator[bytes]) -> str:
    digest = hashlib.sha256()
    for block in blocks:
        digest.update(block)
    return digest.hexdigest()


@pytest.fixture
def memory(live: Live, key: str) -> Memory:
    """The server's memory, after it has answered once."""
    assert live.call("GET", "/v1/devboxes", key).status_code == 200
    memory = Memory(live.pid)
    memory.reset_peak()
    return memory


def check_growth(memory: Memory, before: int) -> None:
    growth = memory.peak - before
    print(f"peak growth {growth / MIB:.1f} MiB")
    assert growth <= MOST_GROWTH


async def hash_upload(reader: asyncio.StreamReader, size: int | None) -> str:
    """Read a body of this size, or a chunked one, without keeping it."""
    digest = hashlib.sha256()
    if size is None:
        while length := int(await reader.readuntil(b"\r\n"), 16):
            digest.update(await reader.readexactly(length))
            await reader.readexactly(2)
        return digest.hexdigest()
    while size:
        data = await reader.read(min(size, 1 << 18))
        digest.update(data)
        size -= len(data)
    return digest.hexdigest()


@pytest.mark.parametrize("chunked", [False, True], ids=["with-length", "chunked"])
def test_a_multipart_upload_of_over_100_mb_passes_in_bounded_memory(
    raw: Raw, upstream: Recorder, key: str, memory: Memory, chunked: bool
) -> None:
    got: list[str] = []

    async def take(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        length = seen.header("content-length")
        got.append(await hash_upload(reader, int(length) if length else None))
        writer.write(OK)
        await writer.drain()
        return True

    upstream.stream = take
    before = memory.now
    size = SIZE + len(BEFORE) + len(AFTER)
    framing = ("transfer-encoding", "chunked") if chunked else ("content-length", str(size))
    raw.send(request_head("POST", UPLOAD, key, [MULTIPART, framing]))
    for part in parts():
        raw.send(f"{len(part):x}\r\n".encode() + part + b"\r\n" if chunked else part)
    raw.send(b"0\r\n\r\n" if chunked else b"")
    assert raw.answer().status == 200
    assert got == [digest_of(parts())]
    check_growth(memory, before)


@pytest.mark.parametrize("chunked", [False, True], ids=["with-length", "chunked"])
def test_a_download_of_over_100_mb_passes_in_bounded_memory(
    raw: Raw, upstream: Recorder, key: str, memory: Memory, chunked: bool
) -> None:
    async def give(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        framing = b"transfer-encoding: chunked" if chunked else f"content-length: {SIZE}".encode()
        writer.write(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        for _block in range(SIZE // MIB):
            writer.write(f"{MIB:x}\r\n".encode() + BLOCK + b"\r\n" if chunked else BLOCK)
            await writer.drain()
        writer.write(b"0\r\n\r\n" if chunked else b"")
        await writer.drain()
        return True

    upstream.stream = give
    before = memory.now
    answer = raw.ask("POST", DOWNLOAD, key, body=b"")
    assert len(answer.body) == SIZE
    assert hashlib.sha256(answer.body).hexdigest() == digest_of(BLOCK for _ in range(SIZE // MIB))
    check_growth(memory, before)


def test_a_caller_that_reads_slowly_holds_up_the_upstream(
    raw: Raw, upstream: Recorder, key: str, memory: Memory
) -> None:
    sent = [0]
    stuck = threading.Event()

    async def push(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n".encode())
        try:
            while sent[0] < SIZE:
                writer.write(BLOCK)
                async with asyncio.timeout(1.0):
                    await writer.drain()
                sent[0] += MIB
        except TimeoutError:
            stuck.set()
        return True

    upstream.stream = push
    before = memory.now
    raw.send(request_head("POST", DOWNLOAD, key, [("content-length", "0")]))
    assert raw.head().status == 200
    assert stuck.wait(20), f"the upstream could send all {SIZE} bytes to a caller that reads none"
    assert sent[0] < MOST_GROWTH
    check_growth(memory, before)


def test_an_upstream_that_reads_slowly_holds_up_the_caller(
    raw: Raw, upstream: Recorder, key: str, memory: Memory
) -> None:
    go_on = threading.Event()

    async def wait(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await asyncio.to_thread(go_on.wait, 20)
        writer.close()
        return True

    upstream.stream = wait
    before = memory.now
    raw.send(request_head("POST", UPLOAD, key, [MULTIPART, ("content-length", str(SIZE))]))
    raw.socket.settimeout(1.0)
    sent = 0
    with suppress(TimeoutError):  # the gate takes no more while the upstream takes none
        while sent < SIZE:
            sent += raw.socket.send(BLOCK)
    go_on.set()
    assert sent < MOST_GROWTH
    check_growth(memory, before)
