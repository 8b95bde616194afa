"""A real nginx with the configuration of docs/gates/nginx.md asks a real Keyscope."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.live import Live, free_port
from tests.programs import program, requires_program
from tests.recorder import Recorder

PAGE = Path(__file__).parents[2] / "docs" / "gates" / "nginx.md"
UPSTREAM_KEY = "ak_of_the_upstream"
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

pytestmark = requires_program("nginx")


def configuration(upstream: str, keyscope: str, listen: str) -> str:
    """The page's block with its addresses filled in, and nginx's own files kept in its folder."""
    found = re.search(r"^```nginx\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    text = found[1]
    for name, value in (("UPSTREAM_KEY", UPSTREAM_KEY), ("UPSTREAM", upstream), ("KEYSCOPE", keyscope)):
        text = text.replace(name, value)
    paths = "".join(f"  {name}_temp_path {name};\n" for name in TEMPORARY)
    text = text.replace("LISTEN", listen).replace("http {\n", f"http {{\n  access_log off;\n{paths}", 1)
    return f"daemon off;\npid nginx.pid;\nerror_log error.log;\n{text}"


@pytest.fixture(scope="module")
def asking(live: Live, upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[str]:
    """The URL of an nginx in front of the recorder."""
    folder, port = new_directory(), free_port()
    (folder / "nginx.conf").write_text(
        configuration(f"127.0.0.1:{upstream.port}", f"127.0.0.1:{live.port}", f"127.0.0.1:{port}")
    )
    words = [program("nginx"), "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _until_listening(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _until_listening(port: int) -> None:
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            assert time.monotonic() < end
            time.sleep(0.02)
        else:
            return


def call(url: str, method: str, path: str, key: str | None, **content: Any) -> httpx.Response:
    credential = {"authorization": f"Bearer {key}"} if key else {}
    headers = {**credential, **content.pop("headers", {})}
    return httpx.request(method, url + path, headers=headers, trust_env=False, **content)


def test_an_allowed_call_arrives_with_the_upstreams_key_and_who_called(
    asking: str, live: Live, upstream: Recorder
) -> None:
    made = live.mint("devboxes:read")
    response = call(asking, "GET", "/v1/devboxes/dbx_1?limit=1", made["key_secret"], headers={"cookie": "a=b"})
    assert response.status_code == 200
    [seen] = upstream.take()
    assert seen.target == "/v1/devboxes/dbx_1?limit=1"
    assert seen.all("authorization") == [f"Bearer {UPSTREAM_KEY}"]
    assert seen.header("x-keyscope-key-id") == made["id"]
    assert seen.header("cookie") is None


@pytest.mark.parametrize(
    ("method", "path", "scopes", "status"),
    [
        ("GET", "/v1/devboxes", None, 401),
        ("GET", "/v1/blueprints", ["devboxes:read"], 403),
        ("POST", "/v1/devboxes/dbx_1/shutdown", ["devboxes:read"], 403),
        ("GET", "/v1/devboxes//x", ["devboxes:read"], 403),
        ("GET", "/v1/devboxes/%2e%2e/blueprints", ["devboxes:read"], 403),
        ("GET", "/v1/nowhere", ["devboxes:write"], 403),
        ("POST", "/v1/devboxes", ["devboxes:write"], 403),
    ],
)
def test_a_refused_call_does_not_arrive(
    asking: str, live: Live, upstream: Recorder, method: str, path: str, scopes: list[str] | None, status: int
) -> None:
    key = live.mint(*scopes)["key_secret"] if scopes is not None else None
    json = {"blueprint_id": "bpt_1"} if method == "POST" else None
    response = call(asking, method, path, key, json=json)
    assert (response.status_code, upstream.take()) == (status, [])
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("header", ["X-Original-URI", "X-Forwarded-Uri", "X-Original-Method", "X-Forwarded-Method"])
def test_a_caller_cannot_claim_another_call(asking: str, live: Live, upstream: Recorder, header: str) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    claim = {header: "/v1/devboxes" if "URI" in header.upper() else "GET"}
    assert call(asking, "GET", "/v1/blueprints", key, headers=claim).status_code == 403
    assert upstream.take() == []
    assert call(asking, "GET", "/v1/devboxes", key, headers=claim).status_code == 200
    [seen] = upstream.take()
    assert seen.header(header.lower()) is None


def test_an_empty_object_needs_no_more_than_the_call_itself(asking: str, live: Live, upstream: Recorder) -> None:
    key = live.mint("devboxes:write")["key_secret"]
    assert call(asking, "POST", "/v1/devboxes", key, json={}).status_code == 200
    [seen] = upstream.take()
    assert seen.body == b"{}"


def test_the_question_itself_is_not_to_be_had_from_outside(asking: str, live: Live, upstream: Recorder) -> None:
    assert call(asking, "GET", "/_keyscope", live.first).status_code == 404


def test_nothing_passes_while_keyscope_is_away(asking: str, live: Live, upstream: Recorder) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    live.kill()
    try:
        assert call(asking, "GET", "/v1/devboxes", key).status_code == 500
        assert upstream.take() == []
    finally:
        live.start()
    end = time.monotonic() + 15  # nginx leaves a server that failed alone for ten seconds
    while call(asking, "GET", "/v1/devboxes", key).status_code != 200:
        assert time.monotonic() < end
        time.sleep(0.2)
