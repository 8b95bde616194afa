"""Real proxies, each with the configuration that ``keyscope export`` prints, ask a real Keyscope."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import httpx
import pytest

from keyscope.gate.export import TEMPLATES
from tests.gate.proxies import ENVOY_GRPC, UPSTREAM_KEY, program_of, running
from tests.gate.ws_upstream import WebSocketUpstream
from tests.live import Live, free_port
from tests.programs import requires_program
from tests.recorder import Recorder, Seen

AWAY = {"nginx": 500, "caddy": 502, "traefik": 500, "envoy": 503, ENVOY_GRPC: 503}
"""What each answers while Keyscope cannot be asked."""
PROXIES = [pytest.param(name, marks=requires_program(program_of(name))) for name in sorted(TEMPLATES)]
MEBIBYTE = 1 << 20


class Asking(NamedTuple):
    proxy: str
    url: str


@pytest.fixture(scope="module")
def grpc_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def live(grpc_port: int, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server that is asked over HTTP and over gRPC."""
    options = ["--envoy-grpc", f"127.0.0.1:{grpc_port}", "--trusted-proxies", "none"]
    with Live(new_directory(), options=options) as server:
        yield server


@pytest.fixture(scope="module", params=PROXIES)
def asking(
    request: pytest.FixtureRequest, live: Live, grpc_port: int, upstream: Recorder, new_directory: Callable[[], Path]
) -> Iterator[Asking]:
    """A proxy in front of the recorder."""
    port = grpc_port if request.param == ENVOY_GRPC else live.port
    with running(request.param, upstream.url, port, new_directory()) as url:
        yield Asking(request.param, url)


def call(asking: Asking, method: str, path: str, key: str | None, **content: Any) -> httpx.Response:
    credential = {"authorization": f"Bearer {key}"} if key else {}
    headers = {**credential, **content.pop("headers", {})}
    with httpx.Client(trust_env=False) as client:
        request = client.build_request(method, asking.url, headers=headers, **content)
        request.extensions["target"] = path.encode()  # byte for byte: httpx would normalise it
        return client.send(request)


def test_an_allowed_call_arrives_with_the_upstreams_key_and_who_called(
    asking: Asking, live: Live, upstream: Recorder
) -> None:
    made = live.mint("devboxes:read")
    response = call(asking, "GET", "/v1/devboxes/dbx_1?limit=1", made["key_secret"], headers={"cookie": "a=b"})
    assert response.status_code == 200
    [seen] = upstream.take()
    assert seen.target == "/v1/devboxes/dbx_1?limit=1"
    assert seen.all("authorization") == [f"Bearer {UPSTREAM_KEY}"]
    assert seen.all("x-keyscope-key-id") == [made["id"]]
    assert seen.header("cookie") is None


def test_restrictions_are_judged_by_what_the_proxy_shows(asking: Asking, live: Live, upstream: Recorder) -> None:
    here = {"cidrs": ["127.0.0.0/8"], "instances": {"devboxes": ["dbx_1"]}}
    made = live.mint("devboxes:read", restrictions=here)["key_secret"]
    elsewhere = live.mint("devboxes:read", restrictions={"cidrs": ["192.0.2.0/24"]})["key_secret"]
    claims = {"x-forwarded-for": "192.0.2.1", "x-original-client": "192.0.2.1", "x-envoy-external-address": "192.0.2.1"}
    known = asking.proxy != "envoy"  # over HTTP it does not say who called
    upstream.take()
    assert call(asking, "GET", "/v1/devboxes/dbx_1", made).status_code == (200 if known else 403)
    assert len(upstream.take()) == known
    assert call(asking, "GET", "/v1/devboxes/dbx_2", made).status_code == 403
    assert call(asking, "GET", "/v1/devboxes?client=192.0.2.1", elsewhere, headers=claims).status_code == 403
    assert call(asking, "GET", "/v1/devboxes", elsewhere, headers=claims).status_code == 403
    assert upstream.take() == []


@pytest.mark.parametrize(
    ("method", "path", "scopes", "status"),
    [
        ("GET", "/v1/devboxes", None, 401),
        ("GET", "/v1/blueprints", ["devboxes:read"], 403),
        ("POST", "/v1/devboxes/dbx_1/shutdown", ["devboxes:read"], 403),
        ("GET", "/v1/nowhere", ["devboxes:write"], 403),
        ("POST", "/v1/devboxes", ["devboxes:write"], 403),
    ],
)
def test_a_refused_call_does_not_arrive(
    asking: Asking, live: Live, upstream: Recorder, method: str, path: str, scopes: list[str] | None, status: int
) -> None:
    key = live.mint(*scopes)["key_secret"] if scopes is not None else None
    json = {"blueprint_id": "bpt_1"} if method == "POST" else None
    response = call(asking, method, path, key, json=json)
    assert (response.status_code, upstream.take()) == (status, [])
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    "target",
    [
        "/v1/devboxes//x",
        "/v1/devboxes/%2e%2e/blueprints",
        "/v1/devboxes/../blueprints",
        "/v1/devboxes/..%2fblueprints",
        "/v1/devboxes/x;/../../blueprints",
        "/v1/devboxes/dbx_1/",
    ],
)
def test_a_target_that_two_programs_could_read_in_two_ways_does_not_arrive(
    asking: Asking, live: Live, upstream: Recorder, target: str
) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    response = call(asking, "GET", target, key)
    assert (400 <= response.status_code < 500, upstream.take()) == (True, [])


@pytest.mark.parametrize(
    "header", ["X-Original-URI", "X-Forwarded-Uri", "X_Forwarded_Uri", "X-Original-Method", "X-Forwarded-Method"]
)
def test_a_caller_cannot_claim_another_call(asking: Asking, live: Live, upstream: Recorder, header: str) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    claim = {header: "/v1/devboxes" if "URI" in header.upper() else "GET"}
    assert call(asking, "GET", "/v1/blueprints", key, headers=claim).status_code in (400, 403)
    assert upstream.take() == []
    answered = call(asking, "GET", "/v1/devboxes", key, headers=claim).status_code
    reached = upstream.take()
    assert (answered, len(reached)) in ((200, 1), (400, 0))
    assert [seen.header(header.lower()) for seen in reached] in ([None], [])


def test_a_caller_cannot_claim_to_be_another_key(asking: Asking, live: Live, upstream: Recorder) -> None:
    made = live.mint("devboxes:read")
    claim = {"X-Keyscope-Key-Id": "key_other", "Connection": "close, X-Keyscope-Key-Id"}
    assert call(asking, "GET", "/v1/devboxes", made["key_secret"], headers=claim).status_code == 200
    [seen] = upstream.take()
    assert seen.all("x-keyscope-key-id") == [made["id"]]


def test_two_credentials_are_none(asking: Asking, live: Live, upstream: Recorder) -> None:
    made = live.mint("devboxes:read")["key_secret"]
    headers = [("authorization", f"Bearer {made}"), ("authorization", f"Bearer {live.first}")]
    response = httpx.get(f"{asking.url}/v1/devboxes", headers=headers, trust_env=False)
    assert (response.status_code in (400, 401, 403), upstream.take()) == (True, [])


def test_an_upload_passes_whole(asking: Asking, live: Live, upstream: Recorder) -> None:
    key = live.mint("devboxes:write")["key_secret"]
    body = bytes(range(256)) * 4096
    path = "/v1/devboxes/dbx_1/upload_file"
    assert call(asking, "POST", path, key, content=body).status_code == 200
    [seen] = upstream.take()
    assert seen.body == body


def test_a_large_upload_streams(asking: Asking, live: Live, upstream: Recorder) -> None:
    key = live.mint("devboxes:write")["key_secret"]
    parts = [bytes([number]) * MEBIBYTE for number in range(20)]
    arriving = threading.Event()

    async def notice(_: Seen, *__: object) -> bool:
        arriving.set()
        return False

    def upload() -> Iterator[bytes]:
        yield parts[0]
        assert arriving.wait(20), "the proxy keeps the upload back until it is whole"
        yield from parts[1:]

    upstream.stream = notice
    response = call(asking, "POST", "/v1/devboxes/dbx_1/upload_file", key, content=upload())
    assert response.status_code == 200
    [seen] = upstream.take()
    assert seen.body == b"".join(parts)


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_websocket_passes_both_ways(
    proxy: str, live: Live, grpc_port: int, new_directory: Callable[[], Path]
) -> None:
    made, other = live.mint("devboxes:write"), live.mint("blueprints:write")["key_secret"]

    async def talk(url: str, key: str) -> str:
        headers = {"authorization": f"Bearer {key}"}
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{url}/pty/session-1", headers=headers) as ws,
        ):
            await ws.send_str("hello")
            return str(await ws.receive_str(timeout=20))

    port = grpc_port if proxy == ENVOY_GRPC else live.port
    with WebSocketUpstream() as shells, running(proxy, shells.url, port, new_directory()) as url:
        assert asyncio.run(talk(url, made["key_secret"])) == "hello"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            asyncio.run(talk(url, other))
        assert refused.value.status == 403
        [handshake] = shells.handshakes
        fields = dict(handshake.headers)
        assert (fields["authorization"], fields["x-keyscope-key-id"]) == (f"Bearer {UPSTREAM_KEY}", made["id"])


def test_nothing_passes_while_keyscope_is_away(asking: Asking, live: Live, upstream: Recorder) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    live.kill()
    try:
        assert call(asking, "GET", "/v1/devboxes", key).status_code == AWAY[asking.proxy]
        assert upstream.take() == []
    finally:
        live.start()
    end = time.monotonic() + 15  # nginx leaves a server that failed alone for ten seconds
    while call(asking, "GET", "/v1/devboxes", key).status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.2)
