"""Absent means no: what the policy does not list is closed to restricted keys, and open to standard ones."""

from __future__ import annotations

import pytest

from keyscope.policy.document import load
from tests.gate.raw import Raw
from tests.live import Live
from tests.recorder import Recorder

OUTSIDE = [
    ("GET", "/v2/devboxes"),
    ("GET", "/v1/nothing"),
    ("PATCH", "/v1/devboxes/dbx_1"),
    ("DELETE", "/v1/devboxes/dbx_1"),
    ("OPTIONS", "/v1/devboxes"),
    ("PUT", "/v1/devboxes/dbx_1/suspend"),
    ("GET", "/v1/Devboxes"),
    ("GET", "/"),
    ("HEAD", "/v1/devboxes/create_and_await_running"),
]


@pytest.fixture(scope="module")
def everything(live: Live) -> str:
    """A restricted key that has every scope there is."""
    secret: str = live.mint(*(f"{name}:write" for name in load("runloop").resource_names))["key_secret"]
    return secret


@pytest.mark.parametrize(("method", "target"), OUTSIDE)
def test_a_restricted_key_with_every_scope_may_not_call_it(
    raw: Raw, upstream: Recorder, everything: str, method: str, target: str
) -> None:
    answer = raw.ask(method, target, everything)
    assert answer.status == 403
    assert method == "HEAD" or answer.json()["code"] == "not_in_policy"
    assert upstream.take() == []


@pytest.mark.parametrize(("method", "target"), OUTSIDE)
def test_a_standard_key_may_call_it(raw: Raw, live: Live, upstream: Recorder, method: str, target: str) -> None:
    assert raw.ask(method, target, live.first, body=b"any" if method in ("PUT", "PATCH") else None).status == 200
    [seen] = upstream.take()
    assert (seen.method, seen.target) == (method, target)


@pytest.mark.parametrize("target", ["/v1/restricted_keys/x/y/z", "/v1/apikeys/x/unknown", "/keyscope/unknown"])
def test_what_lies_below_keyscopes_own_paths_never_reaches_the_upstream(
    raw: Raw, live: Live, upstream: Recorder, target: str
) -> None:
    assert raw.ask("GET", target, live.first).status in (404, 405)
    assert upstream.take() == []


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "get", "FOO"])
def test_a_method_that_keyscope_does_not_know_never_reaches_the_upstream(
    live: Live, upstream: Recorder, method: str
) -> None:
    with Raw(live.port) as raw:
        assert raw.ask(method, "/v1/devboxes", live.first).status in (400, 501)
    assert upstream.take() == []
