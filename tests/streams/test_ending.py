"""What is under way when a key ends, or loses what it needs, is ended within a second, and says why where it can."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from runloop_api_client import AuthenticationError, Runloop

from tests.gate.raw import CutOff, Raw, request_head
from tests.gate.waiting import wait_until
from tests.live import Live, wire_scopes
from tests.recorder import Recorder, Seen, Stream

BOUND_S = 1.0
EVENTS = "/v1/devboxes/dbx_1/executions/exe_1/stream_stdout_updates"
EVENT_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE, HALF = b'data: {"output":"1"}\n\n', b'data: {"outp'


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def sends(first: bytes, ended: threading.Event) -> Stream:
    """An upstream that sends this, then nothing more, and tells when the gate has left it."""

    async def stream(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(first)
        await writer.drain()
        while await reader.read(65536):
            pass
        ended.set()
        return False

    return stream


def revoke(live: Live, key: dict[str, Any]) -> None:
    assert live.call("POST", f"/v1/restricted_keys/{key['id']}/revoke").status_code == 200


def suspend(live: Live, key: dict[str, Any]) -> None:
    assert live.call("POST", f"/v1/restricted_keys/{key['id']}/suspend").status_code == 200


def narrow(live: Live, key: dict[str, Any]) -> None:
    body = {"scopes": wire_scopes(("objects:read",))}
    assert live.call("POST", f"/v1/restricted_keys/{key['id']}", json=body).status_code == 200


def expire(live: Live, key: dict[str, Any]) -> None:
    body = {"expires_at_ms": time.time_ns() // 1_000_000 + 100}
    assert live.call("POST", f"/v1/restricted_keys/{key['id']}", json=body).status_code == 200
    time.sleep(0.1)  # the life that the key has left


End = Callable[[Live, dict[str, Any]], None]
ENDS = {"revoked": (revoke, 401), "suspended": (suspend, 401), "narrowed": (narrow, 403), "expired": (expire, 401)}


@pytest.mark.parametrize(("end", "status"), ENDS.values(), ids=ENDS)
def test_a_stream_of_events_ends_with_one_that_says_why(live: Live, upstream: Recorder, end: End, status: int) -> None:
    key, left = live.mint("devboxes:write"), threading.Event()
    upstream.stream = sends(EVENT_STREAM + chunk(WHOLE), left)
    with Raw(live.port) as raw:
        raw.send(request_head("GET", EVENTS, key["key_secret"]))
        assert (raw.head().status, raw.chunk()) == (200, WHOLE)
        end(live, key)
        ended = time.monotonic()
        last = raw.chunk()
        assert time.monotonic() - ended < BOUND_S
        assert raw.chunk() == b"", "the stream has a proper end"
    name, data, *rest = last.split(b"\n")
    assert (name, rest) == (b"event: error", [b"", b""])
    said = json.loads(data.removeprefix(b"data: "))
    assert (said["code"], said["problem"]["status"]) == (status, status)
    assert said["message"] == said["problem"]["message"]
    assert left.wait(5), "the upstream's stream is closed, too"


def test_in_the_middle_of_an_event_the_stream_is_cut(live: Live, upstream: Recorder) -> None:
    key, left = live.mint("devboxes:write"), threading.Event()
    upstream.stream = sends(EVENT_STREAM + chunk(WHOLE) + chunk(HALF), left)
    with Raw(live.port) as raw:
        raw.send(request_head("GET", EVENTS, key["key_secret"]))
        got = b""
        raw.head()
        while len(got) < len(WHOLE + HALF):
            got += raw.chunk()
        revoke(live, key)
        with pytest.raises(CutOff):
            raw.chunk()
    assert left.wait(5)


def test_runloops_client_raises_the_error_and_does_not_connect_again(live: Live, upstream: Recorder) -> None:
    key, calls = live.mint("devboxes:write"), []

    async def stream(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        calls.append(seen)
        return await sends(EVENT_STREAM + chunk(WHOLE), threading.Event())(seen, reader, writer)

    upstream.stream = stream
    client = Runloop(base_url=live.url, bearer_token=key["key_secret"])
    updates = client.devboxes.executions.stream_stdout_updates("exe_1", devbox_id="dbx_1")
    assert next(iter(updates)).output == "1"
    revoke(live, key)
    with pytest.raises(AuthenticationError, match="not valid"):
        next(iter(updates))
    assert len(calls) == 1


def test_a_long_poll_is_answered_with_the_refusal(live: Live, upstream: Recorder) -> None:
    key, began, left = live.mint("devboxes:write"), threading.Event(), threading.Event()

    async def hold(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        began.set()
        return await sends(b"", left)(seen, reader, writer)

    upstream.stream = hold
    with Raw(live.port) as raw:
        body = b'{"statuses":["running"]}'
        head = request_head(
            "POST", "/v1/devboxes/dbx_1/wait_for_status", key["key_secret"], [("content-length", str(len(body)))]
        )
        raw.send(head + body)
        assert began.wait(5)
        revoke(live, key)
        ended = time.monotonic()
        answer = raw.answer()
        assert time.monotonic() - ended < BOUND_S
    assert (answer.status, answer.json()["code"]) == (401, "invalid_token")
    assert left.wait(5)


def test_a_download_is_cut(live: Live, upstream: Recorder) -> None:
    key, left = live.mint("devboxes:write"), threading.Event()
    upstream.stream = sends(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nbegun", left)
    with Raw(live.port) as raw:
        body = b'{"path":"/big"}'
        head = request_head(
            "POST", "/v1/devboxes/dbx_1/download_file", key["key_secret"], [("content-length", str(len(body)))]
        )
        raw.send(head + body)
        assert raw.socket.recv(1, socket.MSG_PEEK)
        revoke(live, key)
        ended = time.monotonic()
        with pytest.raises(CutOff):
            raw.answer()
        assert time.monotonic() - ended < BOUND_S
    assert left.wait(5)


def test_an_upload_is_stopped(live: Live, upstream: Recorder) -> None:
    key, began, left = live.mint("devboxes:write"), threading.Event(), threading.Event()

    async def take(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        began.set()
        return await sends(b"", left)(seen, reader, writer)

    upstream.stream = take
    fields = [("transfer-encoding", "chunked"), ("content-type", "multipart/form-data; boundary=b")]
    with Raw(live.port) as raw:
        head = request_head("POST", "/v1/devboxes/dbx_1/upload_file", key["key_secret"], fields)
        raw.send(head + chunk(b"--b first"))
        assert began.wait(5)
        revoke(live, key)
        ended = time.monotonic()
        assert raw.head().status == 401
        assert time.monotonic() - ended < BOUND_S
    assert left.wait(5)


def test_what_goes_on_with_a_good_key_is_left_alone(live: Live, upstream: Recorder) -> None:
    """Over several looks, and while another key is revoked."""
    key, other = live.mint("devboxes:write"), live.mint("devboxes:write")

    async def stream(_: Seen, __: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(EVENT_STREAM + chunk(WHOLE))
        await asyncio.sleep(1.5)
        writer.write(chunk(WHOLE) + b"0\r\n\r\n")
        await writer.drain()
        return True

    upstream.stream = stream
    with httpx.stream("GET", live.url + EVENTS, headers={"authorization": f"Bearer {key['key_secret']}"}) as answer:
        revoke(live, other)
        assert answer.read() == WHOLE + WHOLE


def test_a_refusal_in_the_middle_counts_as_the_use_of_a_dead_key(live: Live, upstream: Recorder) -> None:
    key = live.mint("devboxes:write")
    upstream.stream = sends(EVENT_STREAM + chunk(WHOLE), threading.Event())
    with Raw(live.port) as raw:
        raw.send(request_head("GET", EVENTS, key["key_secret"]))
        raw.head()
        raw.chunk()
        revoke(live, key)
        raw.chunk()
    wait_until(lambda: live.call("GET", f"/v1/restricted_keys/{key['id']}").json()["dead_uses"] == 1, 10)
