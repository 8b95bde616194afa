"""Real proxies, each with the configuration that ``keyscope export`` prints, ask a real Keyscope."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from keyscope.gate.export import TEMPLATES
from tests.gate.proxies import UPSTREAM_KEY, running
from tests.live import Live
from tests.programs import requires_program
from tests.recorder import Recorder

AWAY = {"nginx": 500, "caddy": 502, "traefik": 500, "envoy": 503}
"""What each answers while Keyscope cannot be asked."""


class Asking(NamedTuple):
    proxy: str
    url: str


@pytest.fixture(scope="module", params=[pytest.param(name, marks=requires_program(name)) for name in sorted(TEMPLATES)])
def asking(
    request: pytest.FixtureRequest, live: Live, upstream: Recorder, new_directory: Callable[[], Path]
) -> Iterator[Asking]:
    """A proxy in front of the recorder."""
    with running(request.param, f"http://127.0.0.1:{upstream.port}", live.port, new_directory()) as url:
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
