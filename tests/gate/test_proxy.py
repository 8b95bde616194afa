"""The built-in gate over real sockets: what goes through, and how."""

from __future__ import annotations

from tests.live import Live
from tests.recorder import Recorder


def test_an_allowed_call_reaches_the_upstream_once_with_its_key(live: Live, upstream: Recorder) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    assert live.call("GET", "/v1/devboxes?limit=3", key).status_code == 200
    [seen] = upstream.take()
    assert (seen.method, seen.target) == ("GET", "/v1/devboxes?limit=3")
    assert seen.all("authorization") == ["Bearer ak_upstream_key_of_the_tests"]


def test_a_refused_call_never_reaches_the_upstream(live: Live, upstream: Recorder) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    response = live.call("POST", "/v1/devboxes", key, json={})
    assert response.status_code == 403
    assert response.json()["missing_scopes"] == ["devboxes:write"]
    assert upstream.take() == []
