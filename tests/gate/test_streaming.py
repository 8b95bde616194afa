"""Nothing is held back: events, long polls and uploads pass piece by piece, and answers without a body stay so."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from tests.gate.h2_stream import happenings
from tests.gate.raw import Raw, request_head
from tests.recorder import Recorder, Seen

STDOUT = "/v1/devboxes/dbx_1/executions/exe_1/stream_stdout_updates?offset=7"
EVENT_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def test_an_event_arrives_before_the_next_is_sent(raw: Raw, upstream: Recorder, key: str) -> None:
    arrived = threading.Event()

    async def events(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(EVENT_STREAM + chunk(b"data: 1\n\n"))
        assert await asyncio.to_thread(arrived.wait, 10)
        writer.write(chunk(b"data: 2\n\n") + b"0\r\n\r\n")
        await writer.drain()
        return True

    upstream.stream = events
    raw.send(request_head("GET", STDOUT, key, [("accept", "text/event-stream")]))
    head = raw.head()
    assert (head.status, head.one("content-type")) == (200, "text/event-stream")
    assert raw.chunk() == b"data: 1\n\n"
    arrived.set()
    assert [raw.chunk(), raw.chunk()] == [b"data: 2\n\n", b""]


def test_the_head_of_an_answer_arrives_before_its_body(raw: Raw, upstream: Recorder, key: str) -> None:
    arrived = threading.Event()

    async def slow(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(EVENT_STREAM)
        assert await asyncio.to_thread(arrived.wait, 10)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    upstream.stream = slow
    raw.send(request_head("GET", STDOUT, key))
    assert raw.head().status == 200
    arrived.set()
    assert raw.chunk() == b""


def test_over_http2_too_the_head_arrives_before_the_body(raw: Raw, upstream: Recorder, key: str) -> None:
    arrived = threading.Event()

    async def slow(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(EVENT_STREAM)
        in_time = await asyncio.to_thread(arrived.wait, 5)
        writer.write(chunk(b"in time" if in_time else b"late") + b"0\r\n\r\n")
        await writer.drain()
        return True

    upstream.stream = slow
    events = happenings(raw, STDOUT, key)
    assert next(events) == "200"
    arrived.set()
    assert [*events] == ["in time", "StreamEnded"]


def test_a_long_poll_that_ends_with_408_is_passed_on_as_it_is(raw: Raw, upstream: Recorder, key: str) -> None:
    async def hold(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readexactly(int(seen.header("content-length") or "0"))
        await asyncio.sleep(2)
        writer.write(b'HTTP/1.1 408 Request Timeout\r\ncontent-length: 18\r\nx-odd: a\r\n\r\n{"message":"wait"}')
        await writer.drain()
        return True

    upstream.stream = hold
    began = time.monotonic()
    answer = raw.ask("POST", "/v1/devboxes/dbx_1/wait_for_status", key, body=b'{"statuses":["running"]}')
    assert (answer.status, answer.body, answer.head.one("x-odd")) == (408, b'{"message":"wait"}', "a")
    assert 2 <= time.monotonic() - began < 2.5


def test_a_chunked_upload_passes_chunk_by_chunk(raw: Raw, upstream: Recorder, key: str) -> None:
    got: list[bytes] = []
    arrived = threading.Event()

    async def take(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        assert seen.all("content-length") == []
        while size := int(await reader.readuntil(b"\r\n"), 16):
            got.append(await reader.readexactly(size))
            await reader.readexactly(2)
            arrived.set()
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        return True

    upstream.stream = take
    fields = [("transfer-encoding", "chunked"), ("content-type", "multipart/form-data; boundary=b")]
    raw.send(request_head("POST", "/v1/devboxes/dbx_1/upload_file", key, fields) + chunk(b"--b first"))
    assert arrived.wait(10), "the first chunk is there before the second is sent"
    raw.send(chunk(b"second --b--") + b"0\r\n\r\n")
    assert raw.answer().status == 200
    assert b"".join(got) == b"--b firstsecond --b--"


def test_expect_100_continue_is_answered_here_and_goes_no_further(raw: Raw, upstream: Recorder, key: str) -> None:
    fields = [("expect", "100-continue"), ("content-length", "5")]
    raw.send(request_head("POST", "/v1/devboxes/dbx_1/upload_file", key, fields))
    assert raw.head().status == 100
    raw.send(b"hello")
    assert raw.answer().status == 200
    [seen] = upstream.take()
    assert (seen.body, seen.all("expect")) == (b"hello", [])


def test_a_refused_upload_is_not_invited_to_send_its_body(raw: Raw, upstream: Recorder) -> None:
    fields = [("expect", "100-continue"), ("content-length", "5000000000")]
    raw.send(request_head("POST", "/v1/devboxes/dbx_1/upload_file", None, fields))
    assert raw.head().status == 401
    assert upstream.take() == []


def test_head_is_judged_as_get_and_answered_without_a_body(raw: Raw, upstream: Recorder, key: str) -> None:
    async def head_only(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\ncontent-type: text/plain\r\n\r\n")
        await writer.drain()
        return True

    upstream.stream = head_only
    answer = raw.ask("HEAD", "/v1/devboxes", key)
    assert (answer.status, answer.head.one("content-length"), answer.body) == (200, "1234", b"")
    upstream.stream = None
    assert raw.ask("GET", "/v1/devboxes", key).status == 200, "the connection is still in step"
    [seen] = upstream.take()
    assert seen.method == "GET"


@pytest.mark.parametrize("status", [204, 304])
def test_an_answer_that_has_no_body_gets_none(raw: Raw, upstream: Recorder, key: str, status: int) -> None:
    async def empty(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(f'HTTP/1.1 {status} Empty\r\netag: "v1"\r\n\r\n'.encode())
        await writer.drain()
        return True

    upstream.stream = empty
    answer = raw.ask("GET", "/v1/devboxes", key)
    assert (answer.status, answer.head.one("etag")) == (status, '"v1"')
    assert answer.head.all("transfer-encoding") == []
    upstream.stream = None
    assert raw.ask("GET", "/v1/devboxes", key).status == 200, "the connection is still in step"


def test_an_answer_that_ends_with_the_connection_arrives_whole(raw: Raw, upstream: Recorder, key: str) -> None:
    async def old_style(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\nall of it")
        await writer.drain()
        return True

    upstream.stream = old_style
    answer = raw.ask("GET", "/v1/devboxes", key)
    assert (answer.status, answer.body) == (200, b"all of it")
