"""WebSockets through the gate: judged before the upgrade, then relayed both ways until either side ends."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.gate.raw import Raw, request_head
from tests.gate.waiting import wait_until
from tests.gate.ws_upstream import WebSocketUpstream
from tests.live import Live, free_port

PTY = "/pty/session-1"
UPSTREAM_KEY = "ak_upstream_key_of_the_tests"
UPGRADE = [
    ("connection", "upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
]
Talk = Callable[[aiohttp.ClientWebSocketResponse], Awaitable[None]]


@pytest.fixture(scope="module")
def shells() -> Iterator[WebSocketUpstream]:
    with WebSocketUpstream() as upstream:
        yield upstream


@pytest.fixture(autouse=True)
def forgotten(shells: WebSocketUpstream) -> None:
    shells.handshakes.clear()
    shells.refuse_with = None


@pytest.fixture(scope="module")
def gate(shells: WebSocketUpstream, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server before the WebSocket upstream."""
    environment = {"KEYSCOPE_UPSTREAM_KEY": UPSTREAM_KEY}
    with Live(new_directory(), upstream=shells.url, environment=environment) as server:
        yield server


@pytest.fixture(scope="module")
def writer(gate: Live) -> str:
    secret: str = gate.mint("devboxes:write")["key_secret"]
    return secret


def talk(gate: Live, key: str, talking: Talk, *, target: str = PTY, protocols: tuple[str, ...] = ()) -> None:
    """Open a WebSocket through the gate and talk."""

    async def work() -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.ws_connect(gate.url + target, protocols=protocols, max_msg_size=0) as socket,
        ):
            await asyncio.wait_for(talking(socket), 20)

    asyncio.run(work())


async def leave(_: aiohttp.ClientWebSocketResponse) -> None:
    """Say nothing; leaving the block closes with 1000."""


def test_messages_pass_both_ways_unchanged(gate: Live, shells: WebSocketUpstream, writer: str) -> None:
    async def talking(socket: aiohttp.ClientWebSocketResponse) -> None:
        for text in ("", "ls -l\r\n", "ü€😀"):
            await socket.send_str(text)
            assert await socket.receive_str() == text
        for data in (b"", b"\x00\xff", os.urandom(3_000_000)):
            await socket.send_bytes(data)
            assert await socket.receive_bytes() == data

    talk(gate, writer, talking)


def test_the_handshake_goes_on_with_the_upstreams_key_and_the_same_target(
    gate: Live, shells: WebSocketUpstream, writer: str
) -> None:
    target = f"{PTY}?cols=80&q=a%20b"
    talk(gate, writer, leave, target=target)
    [handshake] = shells.handshakes
    fields = dict(handshake.headers)
    assert handshake.target == target
    assert fields["authorization"] == f"Bearer {UPSTREAM_KEY}"
    assert fields["x-keyscope-key-id"] == gate.call("GET", "/keyscope/me", writer).json()["id"]
    assert not [value for value in fields.values() if writer in value]


@pytest.mark.parametrize("offered", [("pty.v2",), ("pty.v9", "pty.v2", "pty.v1")])
def test_the_upstream_chooses_the_subprotocol(
    gate: Live, shells: WebSocketUpstream, writer: str, offered: tuple[str, ...]
) -> None:
    async def talking(socket: aiohttp.ClientWebSocketResponse) -> None:
        assert socket.protocol == "pty.v2"

    talk(gate, writer, talking, protocols=offered)
    assert len(shells.handshakes) == 1


def test_no_subprotocol_stays_none(gate: Live, writer: str) -> None:
    async def talking(socket: aiohttp.ClientWebSocketResponse) -> None:
        assert socket.protocol is None

    talk(gate, writer, talking)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 3000, 4999])
def test_the_upstreams_close_code_reaches_the_caller(gate: Live, writer: str, code: int) -> None:
    async def talking(socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_str(f"close {code}")
        message = await socket.receive()
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, code)

    talk(gate, writer, talking)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 3000, 4999])
def test_the_callers_close_code_reaches_the_upstream(
    gate: Live, shells: WebSocketUpstream, writer: str, code: int
) -> None:
    async def talking(socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.close(code=code)

    talk(gate, writer, talking)
    wait_until(lambda: bool(shells.handshakes) and shells.handshakes[0].closed is not None)
    assert shells.handshakes[0].closed == code


def test_an_upstream_that_vanishes_ends_the_callers_socket(gate: Live, writer: str) -> None:
    async def talking(socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_str("drop")
        message = await socket.receive()
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert socket.close_code != 1000

    talk(gate, writer, talking)


def test_a_caller_that_vanishes_ends_the_upstreams_socket(gate: Live, shells: WebSocketUpstream, writer: str) -> None:
    with Raw(gate.port) as raw:
        raw.send(request_head("GET", PTY, writer, UPGRADE))
        assert raw.head().status == 101
    wait_until(lambda: bool(shells.handshakes) and shells.handshakes[0].closed is not None)


def test_a_socket_ends_within_a_second_of_its_key(gate: Live, shells: WebSocketUpstream) -> None:
    key = gate.mint("devboxes:write")

    async def talking(socket: aiohttp.ClientWebSocketResponse) -> None:
        await socket.send_str("still here")
        assert (await socket.receive()).data == "still here"
        await asyncio.to_thread(gate.call, "POST", f"/v1/restricted_keys/{key['id']}/revoke")
        async with asyncio.timeout(1):
            message = await socket.receive()
        assert (message.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, aiohttp.WSCloseCode.POLICY_VIOLATION)

    talk(gate, key["key_secret"], talking)
    wait_until(lambda: shells.handshakes[0].closed == aiohttp.WSCloseCode.GOING_AWAY)


REFUSED = {
    "no-scope": ((), PTY, 403),
    "read-only": (("devboxes:read", "account:write"), PTY, 403),
    "outside-the-policy": (("devboxes:write",), "/v1/nothing", 403),
    "bad-target": (("devboxes:write",), "/pty/../v1/secrets", 400),
}


@pytest.mark.parametrize(("scopes", "target", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_a_handshake_is_refused_before_the_upgrade(
    gate: Live, shells: WebSocketUpstream, scopes: tuple[str, ...], target: str, status: int
) -> None:
    with Raw(gate.port) as raw:
        raw.send(request_head("GET", target, gate.mint(*scopes)["key_secret"], UPGRADE))
        answer = raw.answer()
    assert answer.status == status
    assert answer.json()["status"] == status
    assert shells.handshakes == []


@pytest.mark.parametrize("key", [None, "rk_" + "0" * 49, "junk"], ids=["none", "unknown", "junk"])
def test_a_handshake_without_a_good_key_is_401(gate: Live, shells: WebSocketUpstream, key: str | None) -> None:
    with Raw(gate.port) as raw:
        raw.send(request_head("GET", PTY, key, UPGRADE))
        answer = raw.answer()
    assert (answer.status, answer.head.one("www-authenticate") is not None) == (401, True)
    assert shells.handshakes == []


def test_a_revoked_key_opens_no_socket(gate: Live, shells: WebSocketUpstream) -> None:
    minted = gate.mint("devboxes:write")
    assert gate.revoke(minted["id"]).status_code == 200
    with Raw(gate.port) as raw:
        raw.send(request_head("GET", PTY, minted["key_secret"], UPGRADE))
        assert raw.head().status == 401
    assert shells.handshakes == []


@pytest.mark.parametrize("status", [403, 404, 500])
def test_an_upstream_that_refuses_the_handshake_is_no_upgrade(
    gate: Live, shells: WebSocketUpstream, writer: str, status: int
) -> None:
    shells.refuse_with = status
    with Raw(gate.port) as raw:
        raw.send(request_head("GET", PTY, writer, UPGRADE))
        answer = raw.answer()
    assert answer.status == 502


def test_an_upstream_that_is_down_is_no_upgrade(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), upstream=f"http://127.0.0.1:{free_port()}") as server, Raw(server.port) as raw:
        raw.send(request_head("GET", PTY, server.first, UPGRADE))
        assert raw.head().status == 502


@pytest.mark.parametrize("target", ["/v1/restricted_keys", "/keyscope/me"])
def test_keyscopes_own_paths_never_open_a_socket_to_the_upstream(
    gate: Live, shells: WebSocketUpstream, target: str
) -> None:
    with Raw(gate.port) as raw:
        raw.send(request_head("GET", target, gate.first, UPGRADE))
        assert raw.head().status >= 400
    assert shells.handshakes == []
