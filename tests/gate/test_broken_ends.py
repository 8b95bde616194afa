"""Either side may vanish at any point. What is left then never looks whole, and nobody waits for nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gate.h2_stream import happenings
from tests.gate.raw import CutOff, Raw, request_head
from tests.gate.waiting import wait_until
from tests.live import Live, free_port
from tests.recorder import Recorder, Seen, Stream

UPLOAD = "/v1/devboxes/dbx_1/upload_file"


def saying(data: bytes) -> Stream:
    """An upstream that says this and closes."""

    async def say(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await reader.readexactly(int(seen.header("content-length") or "0"))
        writer.write(data)
        await writer.drain()
        return True

    return say


@pytest.fixture(scope="module")
def lonely(new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server with nobody behind it."""
    with Live(new_directory(), upstream=f"http://127.0.0.1:{free_port()}") as server:
        yield server


def test_an_upstream_that_is_down_is_502(lonely: Live) -> None:
    key = lonely.mint("devboxes:read")["key_secret"]
    response = lonely.call("GET", "/v1/devboxes", key)
    assert (response.status_code, response.json()["code"]) == (502, "upstream_unreachable")


def test_an_upstream_that_is_down_changes_nothing_for_those_who_are_refused(lonely: Live) -> None:
    key = lonely.mint("devboxes:read")["key_secret"]
    assert lonely.call("POST", "/v1/devboxes", key).status_code == 403
    assert lonely.call("GET", "/v1/devboxes", "").status_code == 401


def test_a_silent_upstream_is_504(hasty: Live, upstream: Recorder) -> None:
    async def silent(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> bool:
        await reader.read()
        return True

    upstream.stream = silent
    response = hasty.call("GET", "/v1/devboxes", hasty.mint("devboxes:read")["key_secret"])
    assert (response.status_code, response.json()["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize(
    "said",
    [b"", b"HTTP/1.1 2", b"hello\r\n\r\n", b"\x00\xff" * 50, b"HTTP/1.1 200 OK\r\nno-colon\r\n\r\n"],
    ids=["nothing", "half-a-line", "no-http", "bytes", "bad-field"],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_upstream_that_says_nothing_sensible_is_502(
    raw: Raw, upstream: Recorder, key: str, said: bytes, method: str
) -> None:
    upstream.stream = saying(said)
    answer = raw.ask(method, "/v1/devboxes/dbx_1", key, body=b"{}" if method == "POST" else None)
    assert (answer.status, answer.json()["code"]) == (502, "upstream_unreachable")
    upstream.stream = None
    assert raw.ask("GET", "/v1/devboxes", key).status == 200


CUT = [
    b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n",
    b'HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"id": 1',
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n7\r\nwor",
    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\nworld\r\n0\r\n\r\n",
]
CUT_NAMES = ["length-none", "length-part", "chunked-none", "between-chunks", "within-a-chunk", "bad-chunk-size"]


@pytest.mark.parametrize("said", CUT, ids=CUT_NAMES)
def test_an_answer_that_breaks_off_is_never_passed_on_as_whole(
    raw: Raw, upstream: Recorder, key: str, said: bytes
) -> None:
    upstream.stream = saying(said)
    try:
        answer = raw.ask("GET", "/v1/devboxes", key)
    except CutOff:
        return
    # What is broken when the head is looked at never gets so far as to be passed on.
    assert (answer.status, answer.json()["code"]) == (502, "upstream_unreachable")


@pytest.mark.parametrize("said", CUT, ids=CUT_NAMES)
def test_over_http2_too_an_answer_that_breaks_off_ends_in_an_error(
    live: Live, upstream: Recorder, key: str, said: bytes
) -> None:
    upstream.stream = saying(said)
    with Raw(live.port) as raw:
        status, *_, end = happenings(raw, "/v1/devboxes", key)
    assert (status, end) in (("200", "StreamReset"), ("502", "StreamEnded"))


def test_a_caller_that_leaves_in_mid_download_closes_the_upstream_too(live: Live, upstream: Recorder, key: str) -> None:
    closed = threading.Event()

    async def endless(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        except ConnectionError:
            closed.set()
        return True

    upstream.stream = endless
    with Raw(live.port) as raw:
        raw.send(request_head("POST", "/v1/devboxes/dbx_1/download_file", key, [("content-length", "0")]))
        assert raw.head().status == 200
    assert closed.wait(3)


def test_a_caller_that_leaves_during_a_silent_stream_closes_the_upstream_too(
    live: Live, upstream: Recorder, key: str
) -> None:
    closed = threading.Event()

    async def silent(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n:\r\n")
        await reader.read()
        closed.set()
        return True

    upstream.stream = silent
    with Raw(live.port) as raw:
        raw.send(request_head("GET", "/v1/devboxes", key))
        assert raw.head().status == 200
        assert raw.chunk() == b":"
    assert closed.wait(3)


def test_a_caller_that_leaves_a_long_poll_closes_the_upstream_too(live: Live, upstream: Recorder, key: str) -> None:
    asked, closed = threading.Event(), threading.Event()

    async def hold(_: Seen, reader: asyncio.StreamReader, __: asyncio.StreamWriter) -> bool:
        asked.set()
        await reader.read()
        closed.set()
        return True

    upstream.stream = hold
    with Raw(live.port) as raw:
        raw.send(request_head("GET", "/v1/devboxes", key))
        assert asked.wait(5)
    assert closed.wait(3)


CUT_UPLOADS = {
    "length": (("content-length", "1000"), b"x" * 100),
    "between-chunks": (("transfer-encoding", "chunked"), b"5\r\nhello\r\n"),
    "within-a-chunk": (("transfer-encoding", "chunked"), b"5\r\nhello\r\n7\r\nwor"),
    "bad-chunk-size": (("transfer-encoding", "chunked"), b"5\r\nhello\r\nzz\r\nworld\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("cut", CUT_UPLOADS.values(), ids=CUT_UPLOADS.keys())
def test_an_upload_that_breaks_off_never_reaches_the_upstream_as_a_whole_request(
    live: Live, upstream: Recorder, key: str, cut: tuple[tuple[str, str], bytes]
) -> None:
    field, part = cut
    with Raw(live.port) as raw:
        raw.send(request_head("POST", UPLOAD, key, [field]) + part)
    wait_until(lambda: bool(upstream.partial))
    assert upstream.take() == []


def test_the_gate_goes_on_after_all_that(live: Live, upstream: Recorder, key: str) -> None:
    assert live.call("GET", "/v1/devboxes", key).status_code == 200
    assert len(upstream.take()) == 1
