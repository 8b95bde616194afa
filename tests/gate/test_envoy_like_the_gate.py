"""Whatever Envoy asks about, nothing passes that the built-in gate would not let through.

The other side of the comparison is the built-in gate's own code, given the request as the caller sent it. What Envoy
shows of it is made here as Envoy makes it: it writes the mark of a partial body itself, and joins lines with commas.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from keyscope.authority.meter import Meter
from keyscope.errors import KeyscopeError, NoUpstream
from keyscope.gate.proxy import Proxy
from keyscope.wire.call import read_call
from tests.gate.envoy_laws import MAX_BODY_BYTES, Asked
from tests.gate.questions import Fields, asked, verdict

MARK = "x-envoy-auth-partial-body"
ASKING = Asked()
KEYS = [ASKING.standard, ASKING.writer, ASKING.reader, "rk_nothing"]
ROUTES = ["/v1/devboxes", "/v1/devboxes/dbx_1", "/v1/blueprints", "/v1/benchmarks/b_1", "/v1/scenarios/start_run", "/"]

credentials = st.sampled_from(KEYS).map(lambda key: f"Bearer {key}")
authorizations = st.lists(credentials | st.sampled_from(["", "Basic x", f"Bearer {KEYS[0]},"]), min_size=1, max_size=2)
tails = st.sampled_from(["", "?a=b", "?", "/", "//x", "/..", "/%2e%2e", "/x%2fy", ";a", "!", "/ü", "#x"])
targets = st.builds(str.__add__, st.sampled_from(ROUTES), st.just("") | tails)
methods = st.sampled_from(["GET", "POST", "POST", "POST", "HEAD", "DELETE", "PATCH", "get", "TRACE", ""])
members = st.dictionaries(
    st.sampled_from(["name", "blueprint_id", "mounts", "scenario_ids", "runProfile"]),
    st.none() | st.just("x") | st.just([{"object_id": "o"}, "y"]) | st.just({"secrets": {"A": "b"}}),
)
bodies = st.one_of(
    members.map(lambda value: json.dumps(value).encode()),
    st.sampled_from([b"", b"{}", b"[]", b'{"name":1,"name":2}', b'{"a":NaN}', b"\xff", b'"' + b"x" * 5000 + b'"']),
)
more = st.lists(
    st.sampled_from(
        [
            ("content-type", b"application/json"),
            ("content-type", b"text/plain"),
            ("content-encoding", b"gzip"),
            ("upgrade", b"websocket"),
            ("expect", b"100-continue"),
            ("x-other", b"a,b"),
            ("transfer-encoding", b"chunked"),
        ]
    ),
    max_size=3,
)


def gate_allows(method: str, target: str, headers: Fields, body: bytes) -> bool:
    """Whether the built-in gate lets this through. Without an upstream, that is where it stops."""
    path, _, query = target.encode().partition(b"?")
    lines = [(name.encode().replace(b":authority", b"host"), value) for name, value in headers if name != MARK]
    scope = {"method": method, "raw_path": path, "query_string": query, "headers": lines, "client": ("127.0.0.1", 1)}
    proxy = Proxy(ASKING.verifier, None, Meter(), max_body_bytes=MAX_BODY_BYTES, body_timeout_s=10)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    try:
        asyncio.run(proxy(read_call(scope, 16384), receive, send))
    except NoUpstream:
        return True
    except KeyscopeError:
        return False
    assert sent[0]["status"] >= 400
    return False


def question(method: str, target: str, headers: Fields, body: bytes, how: str, raw: bool) -> bytes:
    """What Envoy asks: it shows the body whole, in part, or not at all. It never shows that of an upgrade."""
    if not body or any(name == "upgrade" for name, _ in headers):
        how = "hidden"
    shown = {"whole": body, "part": body[: len(body) // 2], "hidden": b""}[how]
    mark = [] if how == "hidden" else [(MARK, b"false" if how == "whole" else b"true")]
    pseudo = [(":method", method.encode()), (":path", target.encode())]
    question: bytes = asked(method, target, [*pseudo, *headers, *mark], shown, raw=raw).SerializeToString()
    return question


@settings(max_examples=400, deadline=None)
@given(
    method=methods,
    target=targets,
    authorization=authorizations,
    more=more,
    body=bodies,
    with_length=st.booleans(),
    how=st.sampled_from(["whole", "whole", "part", "hidden"]),
    raw=st.booleans(),
)
def test_what_passes_is_what_the_built_in_gate_lets_through(
    method: str,
    target: str,
    authorization: list[str],
    more: Fields,
    body: bytes,
    with_length: bool,
    how: str,
    raw: bool,
) -> None:
    length = [("content-length", str(len(body)).encode())] if with_length else []
    keys = [("authorization", value.encode()) for value in authorization]
    headers: Fields = [(":authority", b"api.example.com"), *keys, *more, *length]
    passes = verdict(ASKING.gate.check(question(method, target, headers, body, how, raw), "ipv4:127.0.0.1:5")).passes
    allowed = gate_allows(method, target, headers, body)
    assert not passes or allowed


@settings(max_examples=100, deadline=None)
@given(key=st.sampled_from(KEYS), path=st.sampled_from(ROUTES), body=members, method=st.sampled_from(["GET", "POST"]))
def test_a_plain_request_shown_whole_passes_if_and_only_if_the_built_in_gate_lets_it_through(
    key: str, path: str, body: Any, method: str
) -> None:
    raw = json.dumps(body).encode() if method == "POST" else b""
    kind = [("content-type", b"application/json"), ("content-length", str(len(raw)).encode())] if raw else []
    headers: Fields = [(":authority", b"api.example.com"), ("authorization", f"Bearer {key}".encode()), *kind]
    asked_well = question(method, path, headers, raw, "whole", True)
    passes = verdict(ASKING.gate.check(asked_well, "ipv4:127.0.0.1:5")).passes
    assert passes == gate_allows(method, path, headers, raw)
