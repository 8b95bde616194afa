"""A refusal leaves the connection usable, so that the next request on it is not lost (the SDKs would send it twice)."""

from __future__ import annotations

import time

import pytest

from tests.gate.raw import Raw, request_head
from tests.live import Live
from tests.recorder import Recorder

JSON = ("content-type", "application/json")
FORM = ("content-type", "application/x-www-form-urlencoded")
REFUSED = {
    "no-scope": ("/v1/secrets", True, 403),
    "no-key": ("/v1/secrets", False, 401),
    "bad-target": ("/v1/secrets/", True, 400),
    "own-path": ("/v1/restricted_keys", True, 403),
    "own-path-no-key": ("/v1/restricted_keys", False, 401),
}


@pytest.mark.parametrize("size", [10, 60_000])
@pytest.mark.parametrize(("target", "with_key", "status"), REFUSED.values(), ids=REFUSED.keys())
def test_the_connection_serves_the_next_request_after_a_refusal(
    raw: Raw, upstream: Recorder, key: str, target: str, with_key: bool, status: int, size: int
) -> None:
    fields = [JSON, ("content-length", str(size))]
    raw.send(request_head("POST", target, key if with_key else None, fields))
    raw.send(b"x" * size)  # in a packet of its own, as httpx sends it
    assert raw.answer().status == status
    assert raw.ask("GET", "/v1/devboxes", key).status == 200
    assert len(upstream.take()) == 1


def test_a_chunked_body_that_nobody_wants_does_no_harm_either(raw: Raw, upstream: Recorder, key: str) -> None:
    raw.send(request_head("POST", "/v1/secrets", key, [JSON, ("transfer-encoding", "chunked")]))
    raw.send(b"5\r\nhello\r\n")
    raw.send(b"0\r\n\r\n")
    assert raw.answer().status == 403
    assert raw.ask("GET", "/v1/devboxes", key).status == 200
    assert len(upstream.take()) == 1


@pytest.mark.parametrize("length", [5, 10_000_000_000])
def test_a_refusal_does_not_wait_long_for_a_body_that_does_not_come(live: Live, key: str, length: int) -> None:
    with Raw(live.port) as raw:
        began = time.monotonic()
        raw.send(request_head("POST", "/v1/secrets", key, [JSON, ("content-length", str(length))]))
        assert raw.answer().status == 403
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "target", ["/v1/secrets", "/v1/restricted_keys", "/keyscope/introspect"], ids=["gate", "management", "plain"]
)
def test_a_refusal_of_a_large_body_says_that_the_connection_ends(live: Live, raw: Raw, key: str, target: str) -> None:
    raw.send(request_head("POST", target, key, [JSON, ("content-length", "10000000")]))
    answer = raw.answer()
    assert answer.status in (403, 413)
    assert answer.head.one("connection") == "close"


def test_a_client_that_sends_too_much_goes_on_with_a_new_connection(live: Live) -> None:
    body = b"token=" + b"a" * (1 << 20)
    for _ in range(20):
        refused = live.call("POST", "/keyscope/introspect", content=body, headers=dict([FORM]))
        assert refused.status_code == 413
        assert live.call("GET", "/keyscope/me").status_code == 200
