"""A connection that says nothing ends; one that speaks, or waits for an answer, goes on."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import httpx

from tests.live import Live
from tests.recorder import Recorder, Seen


def test_a_connection_that_never_speaks_is_closed(hasty: Live) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port)) as silent:
        silent.settimeout(5)
        assert silent.recv(1) == b""


def test_a_connection_that_idles_after_a_request_is_closed(hasty: Live) -> None:
    with socket.create_connection(("127.0.0.1", hasty.port)) as idle:
        idle.settimeout(5)
        idle.sendall(b"GET /keyscope/healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while part := idle.recv(65536):
            received += part
        assert received.startswith(b"HTTP/1.1 200")


def test_a_caller_that_waits_for_its_answer_is_left_alone(live: Live, upstream: Recorder, key: str) -> None:
    async def late(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(2)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await writer.drain()
        return True

    upstream.stream = late
    response = httpx.get(f"{live.url}/v1/devboxes", headers={"authorization": f"Bearer {key}"}, trust_env=False)
    assert response.status_code == 200


def test_the_search_for_silent_connections_leaves_no_descriptor_behind(hasty: Live) -> None:
    folder = Path(f"/proc/{hasty.pid}/fd")
    hasty.call("GET", "/keyscope/healthz", "")
    time.sleep(1)
    before = len(list(folder.iterdir()))
    time.sleep(3)  # several searches
    assert len(list(folder.iterdir())) <= before
