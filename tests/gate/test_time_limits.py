"""Nobody can hold a connection by saying nothing: heads, bodies and idle connections have limits."""

from __future__ import annotations

import time

import pytest

from tests.gate.raw import Raw, request_head
from tests.gate.waiting import wait_until
from tests.live import Live
from tests.recorder import Recorder

LIMIT_S = 0.5
MARGIN_S = 2.5
JSON = ("content-type", "application/json")


def seconds_until_closed(raw: Raw) -> float:
    began = time.monotonic()
    assert raw.at_end()
    return time.monotonic() - began


@pytest.fixture(scope="module")
def hasty_key(hasty: Live) -> str:
    secret: str = hasty.mint("devboxes:write")["key_secret"]
    return secret


@pytest.mark.parametrize("part", [b"", b"GET /v1/dev", b"GET /v1/devboxes HTTP/1.1\r\nhost: x\r\nauthor"])
def test_a_head_that_does_not_come_ends_the_connection(hasty: Live, part: bytes) -> None:
    with Raw(hasty.port) as raw:
        raw.send(part)
        began = time.monotonic()
        raw.socket.settimeout(LIMIT_S + MARGIN_S)
        while raw.socket.recv(65536):
            pass
        assert time.monotonic() - began >= LIMIT_S * 0.8


def test_a_head_that_drips_ends_the_connection(hasty: Live) -> None:
    with Raw(hasty.port) as raw:
        end = time.monotonic() + LIMIT_S + MARGIN_S
        raw.send(b"GET /v1/devboxes HTTP/1.1\r\nhost: x\r\n")
        raw.socket.settimeout(0.1)
        while not _ended(raw):
            assert time.monotonic() < end, "each byte bought more time"
            raw.send(b"x")


def _ended(raw: Raw) -> bool:
    try:
        return raw.socket.recv(65536) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_an_idle_connection_is_closed(hasty: Live, hasty_key: str) -> None:
    with Raw(hasty.port) as raw:
        assert raw.ask("GET", "/v1/devboxes", hasty_key).status == 200
        assert seconds_until_closed(raw) < LIMIT_S + MARGIN_S


@pytest.mark.parametrize("framing", [("content-length", "100"), ("transfer-encoding", "chunked")], ids=["length", "te"])
def test_a_judged_body_that_does_not_come_is_400_and_goes_nowhere(
    hasty: Live, hasty_key: str, upstream: Recorder, framing: tuple[str, str]
) -> None:
    with Raw(hasty.port) as raw:
        raw.send(request_head("POST", "/v1/devboxes", hasty_key, [JSON, framing]))
        answer = raw.answer()
    assert (answer.status, answer.json()["code"]) == (400, "request_timeout")
    assert upstream.take() == []


def test_a_judged_body_that_drips_is_400_all_the_same(hasty: Live, hasty_key: str, upstream: Recorder) -> None:
    with Raw(hasty.port) as raw:
        raw.send(request_head("POST", "/v1/devboxes", hasty_key, [JSON, ("content-length", "1000")]))
        raw.socket.settimeout(0.1)
        end = time.monotonic() + LIMIT_S + MARGIN_S
        answered = b""
        while not answered:
            assert time.monotonic() < end, "each byte bought more time"
            raw.send(b" ")
            try:
                answered = raw.socket.recv(65536)
            except TimeoutError:
                continue
    assert answered.startswith(b"HTTP/1.1 400 ")
    assert upstream.take() == []


def test_a_management_body_that_does_not_come_is_400(hasty: Live) -> None:
    with Raw(hasty.port) as raw:
        raw.send(request_head("POST", "/v1/restricted_keys", hasty.first, [JSON, ("content-length", "10")]))
        answer = raw.answer()
    assert (answer.status, answer.json()["code"]) == (400, "request_timeout")


def test_an_upload_that_stops_never_reaches_the_upstream_whole(hasty: Live, hasty_key: str, upstream: Recorder) -> None:
    with Raw(hasty.port) as raw:
        raw.send(request_head("POST", "/v1/devboxes/dbx_1/upload_file", hasty_key, [("content-length", "100")]) + b"x")
        answer = raw.answer()
    assert answer.status == 400
    wait_until(lambda: bool(upstream.partial))
    assert upstream.take() == []


def test_a_slow_but_steady_upload_may_take_longer_than_the_limit(
    hasty: Live, hasty_key: str, upstream: Recorder
) -> None:
    with Raw(hasty.port) as raw:
        raw.send(request_head("POST", "/v1/devboxes/dbx_1/upload_file", hasty_key, [("content-length", "6")]))
        for _ in range(6):
            raw.send(b"x")
            time.sleep(LIMIT_S / 3)  # the point is to be slow
        assert raw.answer().status == 200
    assert upstream.take()[0].body == b"xxxxxx"


@pytest.mark.parametrize("fields", [[("x-long", "a" * 17_000)], [(f"x-{n}", "1") for n in range(101)]])
def test_a_head_over_the_limit_is_431(live: Live, upstream: Recorder, key: str, fields: list[tuple[str, str]]) -> None:
    with Raw(live.port) as raw:
        assert raw.ask("GET", "/v1/devboxes", key, fields).status == 431
    assert upstream.take() == []


def test_an_endless_head_is_cut_off(live: Live, upstream: Recorder) -> None:
    with Raw(live.port) as raw:
        raw.send(b"GET /v1/devboxes HTTP/1.1\r\nhost: x\r\nx-long: ")
        sent = 0
        try:
            while sent < 64 << 20:
                raw.send(b"a" * 65_536)
                sent += 65_536
        except ConnectionError:
            pass
    assert sent < 8 << 20
    assert upstream.take() == []
