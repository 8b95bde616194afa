"""Header fields across the gate: nothing passes that could claim to be someone or somewhere else, and all else does."""

from __future__ import annotations

import pytest

from tests.gate.raw import Raw
from tests.live import Live
from tests.recorder import Recorder, Reply

STRIPPED_INWARD = [
    ("cookie", "session=1"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-host", "evil.test"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-uri", "/v1/secrets"),
    ("x-forwarded-user", "root"),
    ("forwarded", "for=10.0.0.1"),
    ("via", "1.1 proxy"),
    ("x-real-ip", "10.0.0.1"),
    ("true-client-ip", "10.0.0.1"),
    ("x-original-uri", "/v1/secrets"),
    ("x-original-method", "GET"),
    ("x-rewrite-url", "/v1/secrets"),
    ("x-http-method-override", "DELETE"),
    ("x-account-id", "acc_other"),
    ("x-keyscope-account-id", "acc_other"),
    ("x-auth-request-user", "root"),
    ("x_account_id", "acc_other"),
    ("x-with_underscore", "1"),
    ("keep-alive", "timeout=5"),
    ("proxy-authorization", "Basic eDp5"),
    ("proxy-connection", "keep-alive"),
    ("te", "trailers"),
    ("upgrade", "h2c"),
]
KEPT_INWARD = [
    ("x-request-id", "stainless-python-retry-3f2b; Odd/Value=~!*'()"),
    ("user-agent", "Runloop/Python 3.0.0"),
    ("x-stainless-retry-count", "0"),
    ("accept", "application/json;q=0.9, */*"),
    ("accept-encoding", "gzip, br"),
    ("content-type", "text/plain; charset=x"),
    ("if-none-match", 'W/"v1"'),
    ("range", "bytes=0-9"),
    ("x-utf-8", "caf\u00c3\u00a9"),
    ("x-empty", ""),
]


@pytest.mark.parametrize("field", STRIPPED_INWARD, ids=lambda field: field[0])
def test_what_could_mislead_the_upstream_is_taken_off(
    raw: Raw, upstream: Recorder, key: str, field: tuple[str, str]
) -> None:
    assert raw.ask("GET", "/v1/devboxes", key, [field]).status == 200
    [seen] = upstream.take()
    assert field not in seen.headers
    assert not [name for name, _ in seen.headers if "_" in name]


def test_everything_else_arrives_byte_for_byte(raw: Raw, upstream: Recorder, key: str) -> None:
    assert raw.ask("POST", "/v1/devboxes/dbx_1/suspend", key, KEPT_INWARD, b"x").status == 200
    [seen] = upstream.take()
    assert [field for field in seen.headers if field in KEPT_INWARD] == KEPT_INWARD


def test_a_value_that_cannot_arrive_as_it_is_does_not_arrive_at_all(raw: Raw, upstream: Recorder, key: str) -> None:
    answer = raw.ask("GET", "/v1/devboxes", key, [("x-latin-1", "caf\u00e9")])
    assert (answer.status, answer.json()["faults"][0]["path"]) == (400, "headers")
    assert upstream.take() == []


def test_repeated_fields_stay_apart_and_in_order(raw: Raw, upstream: Recorder, key: str) -> None:
    fields = [("x-tag", "a"), ("x-tag", "b, c"), ("x-tag", "a")]
    assert raw.ask("GET", "/v1/devboxes", key, fields).status == 200
    assert upstream.take()[0].all("x-tag") == ["a", "b, c", "a"]


def test_what_connection_names_ends_here(raw: Raw, upstream: Recorder, key: str) -> None:
    fields = [
        ("connection", "keep-alive, X-Nominated"),
        ("x-nominated", "1"),
        ("connection", "x-also"),
        ("x-also", "1"),
    ]
    assert raw.ask("GET", "/v1/devboxes", key, fields).status == 200
    names = {name for name, _ in upstream.take()[0].headers}
    assert names.isdisjoint({"x-nominated", "x-also"})


def test_connection_cannot_take_off_who_is_calling(raw: Raw, live: Live, upstream: Recorder, key: str) -> None:
    nominated = "authorization, x-keyscope-key-id, x-keyscope-account-id, host, content-length"
    answer = raw.ask("POST", "/v1/devboxes/dbx_1/suspend", key, [("connection", nominated)], b"12345")
    [seen] = upstream.take()
    assert answer.status == 200
    assert seen.header("authorization") == "Bearer ak_upstream_key_of_the_tests"
    assert seen.header("x-keyscope-key-id") == live.call("GET", "/keyscope/me", key).json()["id"]
    assert seen.header("x-keyscope-account-id")
    assert seen.body == b"12345"


def test_the_upstream_sees_its_own_host_and_nothing_of_the_callers_key(raw: Raw, upstream: Recorder, key: str) -> None:
    assert raw.ask("GET", "/v1/devboxes", key).status == 200
    [seen] = upstream.take()
    assert seen.header("host") == f"127.0.0.1:{upstream.port}"
    assert not [value for _, value in seen.headers if key in value]


def test_nothing_is_added_but_who_is_calling(raw: Raw, upstream: Recorder, key: str) -> None:
    assert raw.ask("GET", "/v1/devboxes", key).status == 200
    names = {name for name, _ in upstream.take()[0].headers}
    assert names == {"host", "authorization", "x-keyscope-key-id", "x-keyscope-account-id"}


def test_cookies_and_hop_by_hop_fields_of_the_answer_end_here(raw: Raw, upstream: Recorder, key: str) -> None:
    fields = [
        ("Set-Cookie", "session=1"),
        ("connection", "x-nominated"),
        ("x-nominated", "1"),
        ("proxy-authenticate", "Basic"),
        ("keep-alive", "timeout=5"),
        ("alt-svc", 'h3=":443"'),
    ]
    upstream.respond = lambda _: Reply(200, b"{}", fields)
    answer = raw.ask("GET", "/v1/devboxes", key)
    assert answer.status == 200
    assert {name for name, _ in answer.head.fields} <= {"content-length", "date", "server"}


def test_the_other_fields_of_the_answer_arrive_byte_for_byte(raw: Raw, upstream: Recorder, key: str) -> None:
    fields = [
        ("content-type", "application/json; charset=x"),
        ("content-encoding", "gzip"),
        ("x-request-id", "Upstream/Value"),
        ("retry-after-ms", "250"),
        ("link", "<a>; rel=next"),
        ("link", "<b>; rel=prev"),
        ("www-authenticate", 'Bearer realm="upstream"'),
        ("etag", 'W/"v1"'),
    ]
    upstream.respond = lambda _: Reply(429, b"\x1f\x8b not really gzip", fields)
    answer = raw.ask("GET", "/v1/devboxes", key)
    assert (answer.status, answer.body) == (429, b"\x1f\x8b not really gzip")
    assert [field for field in answer.head.fields if field in fields] == fields


def test_a_redirect_is_passed_on_and_not_followed(raw: Raw, upstream: Recorder, key: str) -> None:
    upstream.respond = lambda _: Reply(302, b"", [("location", "/v1/secrets")])
    answer = raw.ask("GET", "/v1/devboxes", key)
    assert (answer.status, answer.head.one("location")) == (302, "/v1/secrets")
    assert len(upstream.take()) == 1
