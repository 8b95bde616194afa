"""A key that may only read never receives a live credential; who may write, and standard keys, get all of it."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from keyscope.gate.replies.document import Document
from keyscope.model.access import Access
from keyscope.model.body import Json
from keyscope.model.decision import Allow, Deny, decide
from keyscope.model.hidden import hidden_from
from keyscope.model.key import Lineage
from keyscope.model.operation import Operation
from keyscope.model.scope import Level, Scope
from keyscope.model.token import Kind
from tests.engines import live
from tests.live import Live
from tests.recorder import Recorder, Reply, Seen, Stream
from tests.replies.shapes import MARKED, POLICY, SECRET, SHAPES, replies
from tests.replies.test_editor import without
from tests.store.samples import a_key

__all__ = ["live"]

READ = {row.id: row for row in MARKED.values() if all(scope.level is Level.READ for scope in row.needs)}
"""What a key may call that does not get what is marked, one row aside."""
FOR_READERS = {"generateDownloadUrl"}


def allowed(row: Operation, *scopes: Scope, kind: Kind = Kind.RESTRICTED) -> Allow:
    route = POLICY.table().find(row.method, row.template)
    assert route is not None
    key = a_key("key_1", kind=kind, scopes=" ".join(map(str, scopes)))
    decision = decide(Lineage(key), Access(route, route.needs, 0))
    assert isinstance(decision, Allow)
    return decision


@pytest.mark.parametrize("name", sorted(MARKED))
def test_what_is_marked_is_hidden_from_exactly_those_who_may_not_write(name: str) -> None:
    row = MARKED[name]
    exact = allowed(row, *row.needs)
    hidden = set(row.credentials) if name in READ and name not in FOR_READERS else set()
    assert set(hidden_from(exact)) == hidden
    assert hidden_from(allowed(row, *(Scope(scope.resource, Level.WRITE) for scope in row.needs))) == ()
    assert hidden_from(allowed(row, kind=Kind.STANDARD)) == ()


def test_the_rows_that_only_need_reading_are_known() -> None:
    assert sorted(READ) == [
        "generateDownloadUrl", "getBlueprint", "getDevbox", "getGatewayConfig", "getMcpConfig", "listDevboxes",
        "listGatewayConfigs", "listImages", "listMcpConfigs", "listPublicBlueprints", "waitForDevboxStatus",
    ]  # fmt: skip


@pytest.mark.parametrize("name", sorted(SHAPES))
@given(st.data())
@settings(max_examples=15, suppress_health_check=list(HealthCheck), phases=(Phase.generate,))
def test_no_reply_of_any_shape_carries_a_marked_member_past(name: str, data: st.DataObject) -> None:
    value = data.draw(replies(name))
    raw = json.dumps(
        value, ensure_ascii=data.draw(st.booleans()), indent=data.draw(st.sampled_from([None, 1]))
    ).encode()
    assert SECRET.encode() in raw
    paths = [path.steps for path in MARKED[name].credentials]
    document, size = Document(paths), data.draw(st.integers(1, 97))
    passed = b"".join([*(document.feed(raw[at : at + size]) for at in range(0, len(raw), size)), document.close()])
    assert SECRET.encode() not in passed
    for path in paths:
        value = without(value, path)
    assert json.loads(passed) == value


def slowly(body: bytes, size: int, kind: str = "application/json") -> Stream:
    """An upstream that sends its answer in chunks of this size."""

    async def stream(seen: Seen, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        fields = f"content-type: {kind}\r\nconnection: close\r\ntransfer-encoding: chunked"
        writer.write(f"HTTP/1.1 200 OK\r\n{fields}\r\n\r\n".encode())
        for at in range(0, len(body), size):
            part = body[at : at + size]
            writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    return stream


@pytest.fixture(autouse=True)
def plain_upstream(upstream: Recorder) -> Iterator[None]:
    yield
    upstream.stream, upstream.respond = None, lambda _: Reply()
    upstream.take()


def path_of(row: Operation) -> str:
    return row.template.replace("{id}", "abc_1")


DEVBOX = {"id": "dbx_1", "tunnel": {"auth_token": SECRET, "tunnel_key": SECRET, "auth_mode": "authenticated"}}


@pytest.mark.parametrize("name", sorted(set(READ) & set(SHAPES)))
def test_over_the_wire_in_odd_chunks(name: str, live: Live, upstream: Recorder) -> None:
    row = READ[name]
    value = _with_everything(row)
    body = json.dumps(value).encode()
    upstream.stream = slowly(body, 7)
    reader = live.mint(*map(str, row.needs))["key_secret"]
    reply = live.call(row.method, path_of(row), reader)
    assert reply.status_code == 200
    assert (SECRET in reply.text) == (name in FOR_READERS)
    writer = live.mint(*(f"{scope.resource}:write" for scope in row.needs))["key_secret"]
    for key in (writer, live.first):
        assert live.call(row.method, path_of(row), key).content == body


def _with_everything(row: Operation) -> Json:
    value: Any = {"id": "abc_1", "name": "x", "has_more": False}
    for path in row.credentials:
        value = _set(value, path.steps)
    return value  # type: ignore[no-any-return]


def _set(value: Any, steps: tuple[str, ...]) -> Any:
    if not steps:
        return SECRET
    if steps[0] == "[*]":
        return [_set(item, steps[1:]) for item in value or [{"id": "a"}, {"id": "b"}]]
    return {**(value or {}), steps[0]: _set((value or {}).get(steps[0]), steps[1:])}


def test_what_is_cut_is_asked_for_whole_and_uncoded(live: Live, upstream: Recorder) -> None:
    upstream.respond = lambda _: Reply(body=json.dumps(DEVBOX).encode(), headers=[
        ("content-type", "application/json; charset=utf-8"), ("etag", '"1"'), ("content-md5", "x"), ("x-kept", "yes"),
        ("digest", "x"), ("accept-ranges", "bytes"),
    ])  # fmt: skip
    reader = live.mint("devboxes:read")["key_secret"]
    asked = {"accept-encoding": "gzip, br", "range": "bytes=0-10", "if-none-match": '"1"', "if-range": '"1"'}
    upstream.take()
    reply = live.call("GET", "/v1/devboxes/dbx_1", reader, headers=asked)
    [seen] = upstream.take()
    assert (seen.all("accept-encoding"), seen.all("range"), seen.all("if-none-match")) == (["identity"], [], [])
    assert reply.json() == {"id": "dbx_1", "tunnel": {"auth_mode": "authenticated"}}
    assert int(reply.headers["content-length"]) == len(reply.content)
    assert reply.headers["x-kept"] == "yes"
    assert not {"etag", "content-md5", "digest", "accept-ranges"} & set(reply.headers)
    live.call("GET", "/v1/devboxes/dbx_1", live.first, headers=asked)
    [seen] = upstream.take()
    assert (seen.all("accept-encoding"), seen.all("range")) == (["gzip, br"], ["bytes=0-10"])


TOKEN = json.dumps(DEVBOX).encode()
JSON = [("content-type", "application/json")]
UNREADABLE: dict[str, Callable[[], Reply]] = {
    "coded": lambda: Reply(body=gzip.compress(TOKEN), headers=[*JSON, ("content-encoding", "gzip")]),
    "no JSON": lambda: Reply(body=TOKEN, headers=[("content-type", "text/plain")]),
    "of no kind": lambda: Reply(body=TOKEN, headers=[]),
    "a part": lambda: Reply(206, TOKEN, JSON),
    "cut short": lambda: Reply(body=TOKEN[:-1]),
    "with a mark": lambda: Reply(body=b"\xef\xbb\xbf" + TOKEN),
    "twice": lambda: Reply(body=TOKEN + TOKEN),
}


@pytest.mark.parametrize("kind", sorted(UNREADABLE))
def test_what_cannot_be_read_does_not_go_on(kind: str, live: Live, upstream: Recorder) -> None:
    upstream.respond = lambda _: UNREADABLE[kind]()
    reply = live.call("GET", "/v1/devboxes/dbx_1", live.mint("devboxes:read")["key_secret"])
    assert (reply.status_code, SECRET in reply.text) == (502, False)
    assert SECRET in live.call("GET", "/v1/devboxes/dbx_1", live.first).text


def test_a_long_reply_that_goes_wrong_is_cut_off(live: Live, upstream: Recorder) -> None:
    page = json.dumps({"devboxes": [DEVBOX] * 3000, "has_more": False}).encode()
    upstream.stream = slowly(page + page, 50_000)
    key = live.mint("devboxes:read")["key_secret"]
    with pytest.raises(httpx.RemoteProtocolError):
        live.call("GET", "/v1/devboxes", key)


def test_of_an_error_that_cannot_be_read_the_status_goes_on(live: Live, upstream: Recorder) -> None:
    upstream.respond = lambda _: Reply(429, TOKEN, [("content-type", "text/html"), ("retry-after", "7")])
    reply = live.call("GET", "/v1/devboxes/dbx_1", live.mint("devboxes:read")["key_secret"])
    assert (reply.status_code, reply.headers["retry-after"], reply.content) == (429, "7", b"")


def test_an_error_in_json_goes_on(live: Live, upstream: Recorder) -> None:
    upstream.respond = lambda _: Reply(404, b'{"message":"no such devbox"}')
    reply = live.call("GET", "/v1/devboxes/dbx_1", live.mint("devboxes:read")["key_secret"])
    assert (reply.status_code, reply.json()) == (404, {"message": "no such devbox"})


def test_events_lose_what_is_marked_one_by_one(live: Live, upstream: Recorder) -> None:
    events = b"".join(b"id: %d\nevent: devbox\ndata: %s\n\n" % (number, TOKEN) for number in range(3))
    upstream.stream = slowly(events, 11, "text/event-stream")
    reply = live.call("POST", "/v1/devboxes/dbx_1/wait_for_status", live.mint("devboxes:read")["key_secret"])
    assert SECRET not in reply.text
    assert reply.text.count("auth_mode") == reply.text.count("event: devbox\n") == 3


def test_a_head_request_says_nothing_of_the_length(live: Live, upstream: Recorder) -> None:
    upstream.respond = lambda _: Reply(body=TOKEN)
    reply = live.call("HEAD", "/v1/devboxes/dbx_1", live.mint("devboxes:read")["key_secret"])
    assert (reply.status_code, reply.headers.get("content-length")) in ((200, None), (200, "0"))


def test_an_observed_key_gets_what_its_call_is_forgiven_and_no_more(live: Live, upstream: Recorder) -> None:
    route = POLICY.table().find("POST", "/v1/devboxes/dbx_1/create_ssh_key")
    assert route is not None
    access = Access(route, route.needs, 0)
    lineage = Lineage(a_key("key_1", scopes="devboxes:read", kind=Kind.RESTRICTED))
    denied = decide(lineage, access)
    assert isinstance(denied, Deny)
    assert hidden_from(Allow(lineage, access)) != ()
    assert hidden_from(Allow(lineage, access, denied)) == ()
