"""What the MCP gate refuses on the wire, in which words, and that nothing of it reaches the upstream."""

from __future__ import annotations

import asyncio
import json
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from keyscope.policy.check import lint
from keyscope.policy.document import parse
from tests.cli.run import keyscope
from tests.gate.waiting import wait_until
from tests.live import Live, free_port
from tests.model_context.running import POLICY, Gate, Weather
from tests.model_context.spoken import ACCEPT, LIST, Session, events
from tests.recorder import Recorder, Reply, Seen

CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "delete_station", "arguments": {}}}


def send(gate: Gate, key: str, body: bytes, *fields: tuple[str, str]) -> httpx.Response:
    headers = [*ACCEPT.items(), *fields, ("authorization", f"Bearer {key}")]
    return httpx.post(gate.endpoint, content=body, headers=headers, timeout=30, trust_env=False)


def error(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == "application/json"
    body: dict[str, Any] = response.json()
    assert body["jsonrpc"] == "2.0"
    found: dict[str, Any] = body["error"]
    return found


def test_a_refusal_is_a_challenge_and_a_json_rpc_error(gate: Gate, reader: str) -> None:
    response = send(gate, reader, json.dumps({**CALL, "id": "abc"}).encode())
    assert response.status_code == 403
    challenge = 'Bearer realm="keyscope", error="insufficient_scope", scope="stations:write"'
    assert response.headers["www-authenticate"] == challenge
    assert response.json()["id"] == "abc"
    assert (error(response)["code"], error(response)["data"]["operation"]) == (-32010, "tools/call delete_station")


@pytest.mark.parametrize("key", ["", "Bearer", "Basic eDp5", "Bearer rk_nonsense"])
def test_no_good_key_is_401(gate: Gate, weather: Weather, key: str) -> None:
    headers = {**ACCEPT, **({"authorization": key} if key else {})}
    for method in ("POST", "GET", "DELETE"):
        response = httpx.request(method, gate.endpoint, headers=headers, trust_env=False)
        assert (response.status_code, error(response)["code"]) == (401, -32010)
        assert response.headers["www-authenticate"].startswith('Bearer realm="keyscope"')
    assert weather.take() == []


def test_a_key_with_the_scope_elsewhere_learns_nothing_of_the_upstream(gate: Gate, keys: Live) -> None:
    revoked = keys.mint("forecasts:read")
    keys.revoke(revoked["id"])
    assert Session(gate, revoked["key_secret"]).post(LIST).status_code == 401


def rpc(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, **members}).encode()


JUNK: dict[str, bytes] = {
    "nothing": b"",
    "not-json": b"{",
    "batch": b"[" + json.dumps(CALL).encode() + b"]",
    "empty-batch": b"[]",
    "text": b'"tools/call"',
    "number": b"1",
    "null": b"null",
    "no-method": rpc(),
    "method-is-a-list": rpc(method=["tools/call"]),
    "other-version": json.dumps({**CALL, "jsonrpc": "1.0"}).encode(),
    "unknown-member": rpc(method="tools/list", more=1),
    "other-case": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","Method":"tools/call"}',
    "request-and-response": rpc(method="tools/list", result={}),
    "response-without-session": rpc(result={}),
    "id-null": rpc(method="tools/list", id=None),
    "id-true": rpc(method="tools/list", id=True),
    "id-fraction": rpc(method="tools/list", id=1.5),
    "params-list": rpc(method="tools/call", params=["get_forecast"]),
    "duplicate-method": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"tools/call"}',
    "duplicate-name": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_forecast","name":"wipe"}}',
    "duplicate-by-escape": b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"ask","n\\u0061me":"x"}}',
    "name-in-two-cases": rpc(method="tools/call", params={"name": "get_forecast", "Name": "wipe"}),
    "name-by-folding": rpc(method="tools/call", params={"name": "get_forecast", "task": {}, "ta\u017fk": {}}),
    "no-name": rpc(method="tools/call", params={"Name": "get_forecast"}),
    "name-is-a-list": rpc(method="tools/call", params={"name": ["get_forecast"]}),
    "no-uri": rpc(method="resources/read", params={"name": "x"}),
    "unknown-reference": rpc(method="completion/complete", params={"ref": {"type": "ref/tool", "name": "wipe"}}),
    "reference-in-two-cases": rpc(
        method="completion/complete", params={"ref": {"type": "ref/prompt", "name": "plan_trip", "Name": "x"}}
    ),
    "deep": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":' + b'{"a":' * 40 + b"1" + b"}" * 41,
    "nan": b'{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"a":NaN}}',
    "byte-order-mark": b"\xef\xbb\xbf" + json.dumps(LIST).encode(),
}


@pytest.mark.parametrize("body", JUNK.values(), ids=JUNK.keys())
def test_what_is_not_one_plain_message_is_400(gate: Gate, weather: Weather, reader: str, body: bytes) -> None:
    response = send(gate, reader, body)
    assert (response.status_code, error(response)["code"]) == (400, -32600)
    assert weather.take() == []


REFUSED: dict[str, dict[str, Any]] = {
    "tool": CALL,
    "tool-as-notification": {name: CALL[name] for name in CALL if name != "id"},
    "method-as-notification": {"jsonrpc": "2.0", "method": "tools/list"},
    "notice-as-request": {"jsonrpc": "2.0", "id": 1, "method": "notifications/initialized"},
    "unknown-notice": {"jsonrpc": "2.0", "method": "notifications/tasks/status"},
    "unknown-method": {"jsonrpc": "2.0", "id": 1, "method": "tasks/cancel"},
    "path-as-method": {"jsonrpc": "2.0", "id": 1, "method": "tools/call/get_forecast"},
    "other-case": {**CALL, "method": "Tools/Call"},
    "space": {**CALL, "params": {"name": "get_forecast "}},
    "unlisted-subscription": {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "subscriptions/listen",
        "params": {"notifications": {"taskIds": ["1"]}},
    },
}


@pytest.mark.parametrize("message", REFUSED.values(), ids=REFUSED.keys())
def test_what_no_row_covers_is_403(gate: Gate, weather: Weather, reader: str, message: dict[str, Any]) -> None:
    response = send(gate, reader, json.dumps(message).encode())
    assert (response.status_code, error(response)["code"]) == (403, -32010)
    assert weather.take() == []


MIRRORS: list[list[tuple[str, str]]] = [
    [("mcp-method", "tools/list")],
    [("mcp-method", "tools/call"), ("mcp-name", "wipe")],
    [("mcp-name", "=?base64?d2lwZQ==?=")],
    [("mcp-name", "=?base64?%%?=")],
    [("mcp-method", "")],
]


@pytest.mark.parametrize("fields", MIRRORS)
def test_header_fields_that_contradict_the_message_are_refused(
    gate: Gate, weather: Weather, reader: str, fields: list[tuple[str, str]]
) -> None:
    body = rpc(method="tools/call", params={"name": "get_forecast", "arguments": {"city": "x"}})
    response = send(gate, reader, body, *fields)
    assert (response.status_code, error(response)["code"]) == (400, -32020)
    assert weather.take() == []


def test_a_name_for_a_method_that_has_none_is_refused(gate: Gate, weather: Weather, reader: str) -> None:
    assert send(gate, reader, json.dumps(LIST).encode(), ("mcp-name", "wipe")).status_code == 400
    assert weather.take() == []


@pytest.mark.parametrize("name", ["mcp-session-id", "mcp-method", "mcp-name", "mcp-protocol-version", "last-event-id"])
def test_a_field_of_mcps_stands_once(gate: Gate, weather: Weather, reader: str, name: str) -> None:
    fields = [(name, "tools/list"), (name, "tools/list")]
    assert send(gate, reader, json.dumps(LIST).encode(), *fields).status_code == 400
    assert weather.take() == []


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://evil.example", 403), ("null", 403), ("http://localhost.evil.example", 403), ("http://localhost:1", 200)],
)
def test_pages_of_other_origins_are_refused(gate: Gate, reader: str, origin: str, status: int) -> None:
    message = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    session = Session(gate, reader).open()
    assert session.post(message, origin=origin).status_code == status


def test_an_oversized_message_is_413(gate: Gate, weather: Weather, reader: str) -> None:
    response = send(gate, reader, b" " * (1 << 20) + b"{}")
    assert (response.status_code, error(response)["data"]["code"]) == (413, "too_large")
    assert weather.take() == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/", 404),
        ("POST", "/mcp/x", 404),
        ("POST", "/keyscope/me", 404),
        ("POST", "/v1/apikeys", 404),
        ("POST", "/mcp?x=y", 400),
        ("POST", "/mcp/", 400),
        ("PUT", "/mcp", 405),
        ("OPTIONS", "/mcp", 405),
        ("MCP", "/tools/call/get_forecast", 501),
    ],
)
def test_there_is_one_endpoint(gate: Gate, weather: Weather, keys: Live, method: str, path: str, status: int) -> None:
    headers = {**ACCEPT, "authorization": f"Bearer {keys.first}"}
    assert httpx.request(method, gate.url + path, headers=headers, trust_env=False).status_code == status
    assert weather.take() == []


def test_another_media_type_is_415(gate: Gate, weather: Weather, keys: Live) -> None:
    headers = {**ACCEPT, "content-type": "text/plain", "authorization": f"Bearer {keys.first}"}
    response = httpx.post(gate.endpoint, content=json.dumps(LIST), headers=headers, trust_env=False)
    assert response.status_code == 415
    assert weather.take() == []


def test_a_standard_keys_message_is_read_as_strictly(gate: Gate, weather: Weather, keys: Live) -> None:
    assert send(gate, keys.first, JUNK["batch"]).status_code == 400
    assert send(gate, keys.first, JUNK["duplicate-name"]).status_code == 400
    assert weather.take() == []


SCALARS = st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["2.0", "wipe", "delete_station", "report"])
NAMES = st.sampled_from(["jsonrpc", "id", "method", "params", "name", "Name", "uri", "ref", "result", "notifications"])
METHODS = st.sampled_from(["tools/call", "tools/list", "resources/read", "wipe", "ping", "tools/call/report", ""])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=6
)
MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": METHODS},
    optional={"id": st.integers(0, 9) | st.text(max_size=3), "params": st.dictionaries(NAMES, VALUES, max_size=3)},
)
OPEN = {"tools/list", "ping"}
ALLOWED = {"get_forecast", "report", "ask", "not_at_the_upstream"}


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(message=MESSAGES | VALUES)
def test_nothing_that_the_key_may_not_do_reaches_the_upstream(
    scripted: Gate, upstream: Recorder, reader: str, message: Any
) -> None:
    upstream.take()
    response = send(scripted, reader, json.dumps(message).encode())
    arrived = upstream.take()
    assert bool(arrived) == (response.status_code == 200), response.text
    for seen in arrived:
        body = json.loads(seen.body)
        assert body == message
        assert body["method"] in OPEN or (body["method"] == "tools/call" and body["params"]["name"] in ALLOWED)


@pytest.fixture(scope="module")
def scripted(new_directory: Callable[[], Path], keys: Live, upstream: Recorder) -> Any:
    """A gate before an upstream that answers as it is told."""
    with Gate(new_directory(), keys.database, f"{upstream.url}/mcp") as gate:
        yield gate


def answer(
    upstream: Recorder,
    body: bytes,
    kind: str = "application/json",
    status: int = 200,
    fields: Mapping[str, str] | None = None,
) -> None:
    headers = [("content-type", kind), *(fields or {}).items()]
    upstream.respond = lambda _: Reply(status=status, body=body, headers=headers)


TOOLS = {"tools": [{"name": name} for name in ("report", "wipe", "delete_station")], "nextCursor": "page-2"}


def test_a_page_of_a_list_keeps_its_cursor(scripted: Gate, upstream: Recorder, reader: str) -> None:
    page = {"jsonrpc": "2.0", "id": 2, "result": {**TOOLS, "cacheScope": "public", "ttlMs": 1}}
    answer(upstream, json.dumps(page).encode())
    result = send(scripted, reader, rpc(method="tools/list", params={"cursor": "page-1"})).json()["result"]
    assert result == {"tools": [{"name": "report"}], "nextCursor": "page-2", "cacheScope": "private", "ttlMs": 1}
    assert json.loads(upstream.take()[0].body)["params"] == {"cursor": "page-1"}


STREAMS = {
    "lf": b"\n",
    "cr": b"\r",
    "crlf": b"\r\n",
}


@pytest.mark.parametrize("end", STREAMS.values(), ids=STREAMS.keys())
def test_a_list_on_a_stream_is_cut_down_however_it_is_written(
    scripted: Gate, upstream: Recorder, reader: str, end: bytes
) -> None:
    text = json.dumps({"jsonrpc": "2.0", "id": 2, "result": TOOLS}, indent=0).split("\n")
    lines = [b": hello", b"", b"id: 1", b"retry: 5", *(b"data:" + line.encode() for line in text), b"", b""]
    answer(upstream, end.join(lines), "text/event-stream")
    response = send(scripted, reader, json.dumps(LIST).encode())
    assert response.text.splitlines()[:2] == [": hello", ""]
    assert "id: 1" in response.text
    [data] = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data")]
    assert json.loads(data)["result"]["tools"] == [{"name": "report"}]


UNREADABLE: dict[str, tuple[bytes, str, dict[str, str]]] = {
    "not-json": (b"{", "application/json", {}),
    "html": (b"<html>", "text/html", {}),
    "coded": (b"\x1f\x8b", "application/json", {"content-encoding": "gzip"}),
    "coded-stream": (b"\x1f\x8b", "text/event-stream", {"content-encoding": "gzip"}),
    "nan": (b'{"result": {"tools": [], "x": NaN}}', "application/json", {}),
}


@pytest.mark.parametrize(("body", "kind", "more"), UNREADABLE.values(), ids=UNREADABLE.keys())
def test_a_list_that_cannot_be_read_does_not_go_on(
    scripted: Gate, upstream: Recorder, reader: str, body: bytes, kind: str, more: dict[str, str]
) -> None:
    answer(upstream, body, kind, fields=more)
    response = send(scripted, reader, json.dumps(LIST).encode())
    assert (response.status_code, error(response)["data"]["code"]) == (502, "upstream_answer")
    assert error(response)["code"] == -32011


def test_odd_entries_of_a_list_are_hidden(scripted: Gate, upstream: Recorder, reader: str) -> None:
    odd = {"tools": [1, None, {}, {"name": 1}, {"name": "report"}], "resources": "all", "prompts": {"name": "x"}}
    answer(upstream, json.dumps({"jsonrpc": "2.0", "id": 2, "result": odd}).encode())
    result = send(scripted, reader, json.dumps(LIST).encode()).json()["result"]
    assert result == {"tools": [{"name": "report"}], "resources": [], "prompts": []}


def test_a_redirect_is_not_passed_on(scripted: Gate, upstream: Recorder, reader: str) -> None:
    answer(upstream, b"", status=307, fields={"location": "http://127.0.0.1:1/elsewhere"})
    response = send(scripted, reader, rpc(method="ping"))
    assert (response.status_code, "location" in response.headers) == (502, False)


def test_no_coding_is_asked_for(scripted: Gate, upstream: Recorder, reader: str) -> None:
    answer(upstream, b"{}")
    send(scripted, reader, rpc(method="ping"), ("accept-encoding", "gzip"))
    assert upstream.take()[0].header("accept-encoding") is None


def test_a_call_that_still_waits_ends_with_its_key(scripted: Gate, upstream: Recorder, keys: Live) -> None:
    key = keys.mint("forecasts:read")
    arrived = threading.Event()

    async def never(seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        arrived.set()
        await asyncio.sleep(60)
        return True

    upstream.stream = never
    body = rpc(method="tools/call", params={"name": "report"})
    with ThreadPoolExecutor(1) as beside:
        waiting = beside.submit(send, scripted, key["key_secret"], body)
        assert arrived.wait(10)
        assert not waiting.done()
        keys.revoke(key["id"])
        response = waiting.result(5)
    upstream.stream = None
    assert (response.status_code, response.json()["id"], error(response)["code"]) == (401, 1, -32010)


@pytest.mark.parametrize("version", HANDSHAKE_PROTOCOL_VERSIONS)
def test_every_age_of_the_handshake_passes(gate: Gate, reader: str, version: str) -> None:
    session = Session(gate, reader).open(version)
    assert session.version == version
    tools = events(session.post(LIST))[0]["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["get_forecast", "report", "ask"]


def test_the_policy_of_the_docs_is_a_policy(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "gates" / "mcp.md").read_text()
    [text] = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert lint(parse(text, "the docs")).ok


def test_a_websocket_is_refused(gate: Gate, keys: Live) -> None:
    upgrade = {"connection": "upgrade", "upgrade": "websocket", "sec-websocket-version": "13"}
    fields = {**upgrade, "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==", "authorization": f"Bearer {keys.first}"}
    assert httpx.get(gate.endpoint, headers=fields, trust_env=False).status_code == 404


def test_with_the_upstream_away_the_answer_is_502(new_directory: Callable[[], Path], keys: Live, reader: str) -> None:
    with Gate(new_directory(), keys.database, f"http://127.0.0.1:{free_port()}/mcp") as gate:
        response = send(gate, reader, json.dumps(LIST).encode())
    assert (response.status_code, response.json()["id"], error(response)["code"]) == (502, 2, -32011)
    assert error(response)["data"]["code"] == "upstream_unreachable"


def test_with_the_store_away_the_answer_is_503(new_directory: Callable[[], Path], upstream: Recorder) -> None:
    with Live(new_directory(), options=["--policy", str(POLICY)]) as keys:
        key = keys.mint("forecasts:read")["key_secret"]
        with Gate(new_directory(), keys.database, f"{upstream.url}/mcp") as gate:
            assert send(gate, key, rpc(method="ping")).status_code == 200
            keys.stop()
            upstream.take()
            for file in keys.directory.glob("keyscope.db*"):
                file.rename(file.with_name("gone-" + file.name))
            wait_until(lambda: send(gate, key, rpc(method="ping")).status_code != 200)
            response = send(gate, key, rpc(method="ping"))
            assert (response.status_code, error(response)["code"]) == (503, -32011)


def test_a_gate_that_is_of_no_use_does_not_start(tmp_path: Path, keys: Live) -> None:
    plain = ("gate", "mcp", "--policy", "github-issues", "--database", f"sqlite:///{tmp_path / 'new.db'}")
    done = keyscope(*plain, "--port", str(free_port()), cwd=tmp_path)
    assert done.returncode == 2
    for words in ("--upstream", "github-issues has no mcp section", "has no keys; start keyscope serve"):
        assert words in done.stderr
