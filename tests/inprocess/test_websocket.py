"""WebSockets into a guarded application: judged before the handshake is accepted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.inprocess.serving import Served, guard_environment
from tests.live import Live

PTY = "/pty/session-1"


@pytest.fixture(scope="module")
def authority(new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory()) as live:
        yield live


@pytest.fixture(scope="module", params=["embedded", "remote"])
def served(request: pytest.FixtureRequest, authority: Live) -> Iterator[Served]:
    environment = guard_environment(authority, request.param)
    # Granian speaks WebSocket by itself; uvicorn would need a library for it.
    with Served("granian", authority.directory, "tests.inprocess.guarded:app", environment) as app:
        yield app


def talk(served: Served, key: str, path: str = PTY) -> str:
    """What the application says to a greeting. Raises WSServerHandshakeError for a refusal."""

    async def work() -> str:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(
                served.url + path, headers=headers, timeout=aiohttp.ClientWSTimeout(ws_receive=20)
            ) as ws,
        ):
            await ws.send_str("hello")
            said = await ws.receive_str()
            await ws.send_str("bye")
            await ws.receive()
            return said

    return asyncio.run(work())


def test_an_allowed_one_talks_and_knows_its_caller(served: Served, authority: Live) -> None:
    made = authority.mint("devboxes:write")
    assert talk(served, made["key_secret"]) == f"{made['id']} hello"


@pytest.mark.parametrize(("scopes", "status"), [(None, 401), ((), 403), (("devboxes:read",), 403)])
def test_a_handshake_that_is_not_allowed_never_reaches_the_application(
    served: Served, authority: Live, scopes: tuple[str, ...] | None, status: int
) -> None:
    key = authority.mint(*scopes)["key_secret"] if scopes is not None else ""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        talk(served, key)
    assert refused.value.status == status


def test_a_path_outside_the_policy_and_an_exempt_one_are_refused_too(served: Served, authority: Live) -> None:
    key = authority.mint("devboxes:write")["key_secret"]
    for path, shown, status in (("/ws", key, 403), ("/healthz", "", 401), ("/pty//x", key, 400)):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            talk(served, shown, path)
        assert refused.value.status == status
