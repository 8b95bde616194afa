"""Every gate counts, once for each call; and one that does not see the end of a call lets none through that holds a
place until then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from keyscope.authority.counting import Counting
from keyscope.gate.forward import CADDY, DIALECTS, ENVOY, NGINX, TRAEFIK, Dialect
from keyscope.store.counters_open import open_counters
from tests.counting.limiting import LIST, limit, limited, restrict, used
from tests.gate.envoy_laws import Asked, code
from tests.gate.raw import Raw, request_head
from tests.gate.waiting import wait_until
from tests.gate.ws_upstream import WebSocketUpstream
from tests.inprocess.serving import Served, guard_environment
from tests.laws.seams import HandClock
from tests.live import Live
from tests.model_context.running import POLICY, Gate, Weather, client_of
from tests.recorder import Recorder, Seen

HOUR: dict[str, int] = {"requests": 1, "per_ms": 3_600_000}
EVENTS = "/v1/devboxes/dbx_1/executions/exe_1/stream_stdout_updates"
EVENT_STREAM = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


def asked(live: Live, dialect: Dialect, key: str) -> Any:
    path = dialect.path.decode()
    if dialect is ENVOY:
        return live.call("GET", path + LIST, key)
    reads = "x-original" if dialect is NGINX else "x-forwarded"
    return live.call("GET", path, key, headers={f"{reads}-uri": LIST, f"{reads}-method": "GET"})


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_forward_auth_counts_in_every_dialect(live: Live, dialect: Dialect) -> None:
    key = limited(live, uses=2)
    assert [asked(live, dialect, key["key_secret"]).status_code for _ in range(4)] == [200, 200, 403, 403]
    assert used(live, key).uses == 2
    often = limited(live, rate=HOUR)
    assert asked(live, dialect, often["key_secret"]).status_code == 200
    refused = asked(live, dialect, often["key_secret"])
    assert refused.status_code == (429 if dialect in (CADDY, TRAEFIK) else 403)
    assert int(refused.headers["retry-after"]) > 3500


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_forward_auth_does_not_see_the_end_of_a_call_and_refuses_what_needs_it(live: Live, dialect: Dialect) -> None:
    refused = asked(live, dialect, limited(live, parallel=5, uses=1)["key_secret"])
    assert refused.status_code == 403
    assert "when a call is over is not seen here" in refused.json()["message"]


def test_envoy_over_grpc_counts_and_does_not_see_the_end() -> None:
    asking = Asked()
    asking.verifier.counting = Counting(open_counters(None), HandClock())
    key_id = asking.verifier.find(asking.reader.encode()).key.id
    for limits, expected in (
        ({"uses": 1}, [(200, ""), (403, "restricted")]),
        ({"rate": HOUR}, [(200, ""), (429, "rate_limited")]),
        ({"parallel": 9}, [(403, "restricted")] * 2),
    ):
        restrict(asking.store, key_id, **limits)
        said = [asking.call("GET", LIST, asking.reader) for _ in range(2)]
        assert [(one.status, code(one)) for one in said] == expected


def test_a_websocket_holds_its_place_until_it_is_closed(new_directory: Callable[[], Path]) -> None:
    async def open_twice(live: Live, key: str) -> None:
        headers = {"authorization": f"Bearer {key}"}
        async with aiohttp.ClientSession(headers=headers) as session:
            async with session.ws_connect(f"{live.url}/pty/one") as shell:
                await shell.send_str("hello")
                assert await shell.receive_str() == "hello"
                with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                    await session.ws_connect(f"{live.url}/pty/two")
                assert refused.value.status == 429
            await asyncio.to_thread(wait_until, lambda: used(live, made).parallel == 0)
            async with session.ws_connect(f"{live.url}/pty/three"):
                pass

    with WebSocketUpstream() as shells, Live(new_directory(), upstream=shells.url) as live:
        made = limited(live, parallel=1)
        asyncio.run(open_twice(live, made["key_secret"]))


@pytest.fixture
def lasting(upstream: Recorder) -> Iterator[Recorder]:
    """Sends the head of a stream, and then nothing."""

    async def stream(_: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        writer.write(EVENT_STREAM)
        await writer.drain()
        await reader.read()
        return True

    upstream.stream = stream
    yield upstream
    upstream.stream = None


def test_a_stream_holds_its_place_until_the_caller_goes(live: Live, lasting: Recorder) -> None:
    key = limited(live, parallel=1)
    with live.http.stream("GET", EVENTS, headers={"authorization": f"Bearer {key['key_secret']}"}) as response:
        assert response.status_code == 200
        assert used(live, key).parallel == 1
        assert live.call("GET", LIST, key["key_secret"]).status_code == 429
    wait_until(lambda: used(live, key).parallel == 0)


def test_an_upload_holds_its_place_and_one_that_is_cut_off_gives_it_back(live: Live, upstream: Recorder) -> None:
    key = limited(live, parallel=1)
    with Raw(live.port) as raw:
        more = [("content-type", "application/octet-stream"), ("content-length", "100")]
        raw.send(request_head("POST", "/v1/devboxes/dbx_1/upload_file", key["key_secret"], more) + b"part")
        wait_until(lambda: used(live, key).parallel == 1)
        assert live.call("GET", LIST, key["key_secret"]).status_code == 429
    wait_until(lambda: used(live, key).parallel == 0)


def test_an_upstream_that_is_not_there_gives_the_place_back(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), upstream="http://127.0.0.1:9") as live:
        key = limited(live, parallel=1, uses=9)
        assert [live.call("GET", LIST, key["key_secret"]).status_code for _ in range(3)] == [502] * 3
        assert used(live, key) == type(used(live, key))(3, 0)


def test_without_an_upstream_nothing_is_spent(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        key = limited(live, uses=9)
        assert live.call("GET", LIST, key["key_secret"]).status_code == 502
        assert used(live, key).uses == 0


def test_an_application_behind_the_middleware_counts_with_the_server_of_its_database(
    live: Live,
) -> None:
    key = limited(live, uses=3, parallel=2)
    app = "tests.inprocess.guarded:app"
    with Served("uvicorn", live.directory, app, guard_environment(live, "embedded")) as served:
        assert [served.call("GET", LIST, key["key_secret"]).status_code for _ in range(2)] == [200, 200]
        assert used(live, key).parallel == 0
        assert live.call("GET", LIST, key["key_secret"]).status_code == 200
        assert served.call("GET", LIST, key["key_secret"]).status_code == 403


def test_a_message_of_mcp_is_one_use_and_what_lists_or_greets_is_none(new_directory: Callable[[], Path]) -> None:
    async def talk(gate: Gate, key: str) -> list[str]:
        async with client_of(gate.endpoint, key) as client:
            assert [tool.name for tool in (await client.list_tools()).tools] == ["get_forecast", "report", "ask"]
            said = []
            for _ in range(3):
                try:
                    said.append(str((await client.call_tool("get_forecast", {"city": "Berlin"})).content[0]))
                except Exception as error:
                    said.append(str(error))
            return said

    with Live(new_directory(), options=["--policy", str(POLICY)]) as keys, Weather(new_directory()) as weather:
        key = keys.mint("forecasts:read")
        limit(keys, key["id"], uses=2, parallel=3)
        with Gate(new_directory(), keys.database, weather.url) as gate:
            said = asyncio.run(talk(gate, key["key_secret"]))
        assert ["Berlin: sunny" in one for one in said] == [True, True, False]
        assert "no use is left" in said[2]
        assert used(keys, key).uses == 2
