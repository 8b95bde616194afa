"""A session is the key's that opened it, and what a key may do no longer ends while it lasts."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import httpx
import pytest
from mcp.shared.exceptions import MCPError

from keyscope.derive import attenuate
from tests.live import Live, wire_scopes
from tests.model_context.running import Gate, Weather, client_of
from tests.model_context.spoken import ACCEPT, LIST, Session, events

END_S = 5.0
"""Longer than a revocation takes to end a stream, and far shorter than the streams of these tests."""


@pytest.fixture
def session(gate: Gate, reader: str) -> Session:
    return Session(gate, reader).open()


def test_a_session_serves_the_key_that_opened_it(session: Session, weather: Weather) -> None:
    assert [tool["name"] for tool in events(session.post(LIST))[0]["result"]["tools"]] == [
        "get_forecast",
        "report",
        "ask",
    ]
    upstreams = {request["headers"].get("mcp-session-id") for request in weather.take()}
    assert session.session not in upstreams, "the upstream's own id goes to the upstream"


@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
def test_another_keys_session_does_not_exist(
    session: Session, gate: Gate, writer: str, weather: Weather, method: str
) -> None:
    thief = Session(gate, writer, session.session)
    weather.take()
    response = thief.ask(method, LIST if method == "POST" else None)
    assert (response.status_code, response.json()["error"]["data"]["code"]) == (404, "unknown_session")
    assert weather.take() == []
    assert session.post(LIST).status_code == 200, "and it goes on for its owner"


def test_a_derived_key_has_sessions_of_its_own(session: Session, gate: Gate, reader: str) -> None:
    derived = attenuate(reader, scopes=["forecasts:read"])
    assert Session(gate, derived, session.session).post(LIST).status_code == 404
    assert Session(gate, derived).open().post(LIST).status_code == 200


@pytest.mark.parametrize("forged", ["x", "x.y", ".", "x.", ".AAAA", "é"])
def test_a_made_up_session_does_not_exist(gate: Gate, reader: str, weather: Weather, forged: str) -> None:
    response = httpx.post(
        gate.endpoint,
        json=LIST,
        headers=[*ACCEPT.items(), ("authorization", f"Bearer {reader}"), ("mcp-session-id", forged.encode("latin-1"))],  # type: ignore[arg-type]
        trust_env=False,
    )
    assert response.status_code == 404
    assert weather.take() == []


def test_the_id_that_the_upstream_gave_is_no_session_here(session: Session, gate: Gate, weather: Weather) -> None:
    session.post(LIST)
    own = weather.take()[-1]["headers"]["mcp-session-id"]
    assert session.session.startswith(own)
    assert Session(gate, session.key, own).post(LIST).status_code == 404


def test_a_session_can_be_ended(session: Session) -> None:
    assert session.ask("DELETE").status_code == 200
    assert session.post(LIST).status_code == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_there_is_no_stream_outside_of_a_session(gate: Gate, reader: str, weather: Weather, method: str) -> None:
    assert Session(gate, reader).ask(method).status_code == 405
    assert weather.take() == []


def test_a_resumed_stream_shows_no_more_than_the_first(session: Session, gate: Gate, keys: Live) -> None:
    first = session.post(LIST)
    start = next(line.removeprefix("id: ") for line in first.text.splitlines() if line.startswith("id: "))
    again: list[str] = []
    with session.stream("GET", **{"last-event-id": start}) as stream:
        assert stream.status_code == 200
        for line in stream.iter_lines():
            again.append(line)
            assert not line.startswith(": ping"), "nothing was delivered again"
            if line.startswith("data: {"):
                break
    tools = json.loads(again[-1].removeprefix("data: "))["result"]["tools"]
    assert [tool["name"] for tool in tools] == ["get_forecast", "report", "ask"]


REPORT = {
    "jsonrpc": "2.0",
    "id": 7,
    "method": "tools/call",
    "params": {"name": "report", "arguments": {"steps": 10_000, "pause": 0.01}, "_meta": {"progressToken": 1}},
}
SILENT = {**REPORT, "params": {"name": "report", "arguments": {"steps": 1, "pause": 60}}}
ENDINGS = ["revoke", "suspend", "narrow", "expire"]


def end(keys: Live, key: dict[str, Any], how: str) -> None:
    path = f"/v1/restricted_keys/{key['id']}"
    if how == "narrow":
        assert keys.call("POST", path, json={"scopes": wire_scopes(["stations:read"])}).status_code == 200
    elif how != "expire":
        assert keys.call("POST", f"{path}/{how}").status_code == 200


def short_lived(keys: Live, how: str) -> dict[str, Any]:
    more: dict[str, Any] = {"expires_at_ms": int(time.time() * 1000) + 1500} if how == "expire" else {}
    return keys.mint("forecasts:read", **more)


@pytest.mark.parametrize("how", ENDINGS)
@pytest.mark.parametrize("message", [REPORT, SILENT], ids=["busy", "silent"])
def test_a_stream_ends_when_the_key_may_do_this_no_longer(
    gate: Gate, keys: Live, how: str, message: dict[str, Any]
) -> None:
    key = short_lived(keys, how)
    session = Session(gate, key["key_secret"]).open()
    lines: list[str] = []
    with session.stream("POST", message) as stream:
        for line in stream.iter_lines():
            if not lines:
                end(keys, key, how)
                ended_at = time.monotonic()
            lines.append(line)
    assert time.monotonic() - ended_at < END_S
    last = json.loads([line for line in lines if line.startswith("data: ")][-1].removeprefix("data: "))
    assert last["id"] == 7
    expected = "insufficient_scope" if how == "narrow" else "invalid_token"
    assert last["error"]["data"]["code"] == expected


@pytest.mark.parametrize("how", ["revoke", "suspend", "expire"])
def test_the_stream_of_a_session_ends_with_its_key(gate: Gate, keys: Live, how: str) -> None:
    key = short_lived(keys, how)
    session = Session(gate, key["key_secret"]).open()
    with session.stream("GET") as stream:
        assert stream.status_code == 200
        end(keys, key, how)
        ended_at = time.monotonic()
        assert [line for line in stream.iter_lines() if line.startswith("data: {")] == []
    assert time.monotonic() - ended_at < END_S
    assert session.post(LIST).status_code == 401


def test_the_official_client_is_told(gate: Gate, keys: Live) -> None:
    key = keys.mint("forecasts:read")
    waiting = asyncio.Event

    async def ask() -> MCPError:
        begun = waiting()

        async def note(progress: float, total: float | None, message: str | None) -> None:
            begun.set()

        async with client_of(gate.endpoint, key["key_secret"], mode="2026-07-28") as client:
            arguments = {"steps": 10_000, "pause": 0.01}
            call = asyncio.ensure_future(client.call_tool("report", arguments, progress_callback=note))
            await begun.wait()
            await asyncio.to_thread(end, keys, key, "revoke")
            with pytest.raises(MCPError) as refused:
                await call
            return refused.value

    error = asyncio.run(asyncio.wait_for(ask(), 20)).error
    assert (error.code, error.data["code"]) == (-32010, "invalid_token")
