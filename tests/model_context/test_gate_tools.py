"""What a key sees and may call through the MCP gate, with the official client in both ages of the protocol."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from keyscope.derive import attenuate
from tests.live import Live
from tests.model_context.running import UPSTREAM_KEY, Gate, Weather, client_of, error_of

AGES = ["legacy", "2026-07-28", "auto"]


@pytest.fixture(params=AGES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def tools_of(gate: Gate, key: str, mode: str) -> list[str]:
    async def ask() -> list[str]:
        async with client_of(gate.endpoint, key, mode=mode) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    return asyncio.run(ask())


def call(gate: Gate, key: str, mode: str, name: str, **arguments: Any) -> Any:
    async def ask() -> Any:
        async with client_of(gate.endpoint, key, mode=mode) as client:
            return await client.call_tool(name, arguments)

    return asyncio.run(ask())


def test_two_keys_see_different_tools(gate: Gate, reader: str, writer: str, mode: str) -> None:
    assert tools_of(gate, reader, mode) == ["get_forecast", "report", "ask"]
    assert tools_of(gate, writer, mode) == ["delete_station"]


def test_a_tool_that_a_key_is_denied_is_neither_listed_nor_called(gate: Gate, keys: Live, mode: str) -> None:
    restrictions: dict[str, Any] = {"deny": ["tools/call report"]}
    denied = keys.mint("forecasts:read", restrictions=restrictions)["key_secret"]
    assert tools_of(gate, denied, mode) == ["get_forecast", "ask"]
    refused = error_of(lambda client: client.call_tool("report", {}), gate, denied, mode)
    assert "is denied this operation" in refused.message
    derived = attenuate(keys.first, restrictions=restrictions)
    assert tools_of(gate, derived, mode) == ["get_forecast", "delete_station", "ask"]


def test_a_standard_key_sees_everything(gate: Gate, keys: Live, mode: str) -> None:
    assert "wipe" in tools_of(gate, keys.first, mode)


def test_a_key_without_scopes_sees_nothing(gate: Gate, keys: Live, mode: str) -> None:
    assert tools_of(gate, keys.mint()["key_secret"], mode) == []


def test_an_allowed_call_arrives_with_the_upstreams_own_credential(
    gate: Gate, weather: Weather, reader: str, mode: str
) -> None:
    result = call(gate, reader, mode, "get_forecast", city="Berlin")
    assert result.content[0].text == "Berlin: sunny"
    seen = weather.take()
    assert any('"tools/call"' in request["body"] for request in seen)
    assert {request["headers"]["authorization"] for request in seen} == {f"Bearer {UPSTREAM_KEY}"}
    assert reader not in str(seen)


def test_a_refused_call_says_what_is_missing_and_does_not_arrive(
    gate: Gate, weather: Weather, reader: str, mode: str
) -> None:
    error = error_of(lambda client: client.call_tool("delete_station", {"station": "s1"}), gate, reader, mode)
    assert error.code == -32010
    assert "The key lacks stations:write for tools/call delete_station" in error.message
    assert "keyscope keys update" in error.message
    assert error.data["missing_scopes"] == ["stations:write"]
    assert error.data["code"] == "insufficient_scope"
    assert not [call for call in weather.called() if call.startswith("tools/call")]


def test_a_tool_that_the_policy_does_not_know_is_hidden_and_refused(
    gate: Gate, weather: Weather, keys: Live, mode: str
) -> None:
    everything = keys.mint("forecasts:write", "stations:write")["key_secret"]
    assert "wipe" not in tools_of(gate, everything, mode)
    refused = error_of(lambda client: client.call_tool("wipe", {}), gate, everything, mode)
    assert refused.data["code"] == "not_in_policy"
    assert "tools/call wipe" not in weather.called()


def test_an_argument_may_need_more(gate: Gate, weather: Weather, writer: str, mode: str) -> None:
    assert "force None" in call(gate, writer, mode, "delete_station", station="s1").content[0].text
    weather.take()
    arguments = {"station": "s1", "force": True}
    refused = error_of(lambda client: client.call_tool("delete_station", arguments), gate, writer, mode)
    assert refused.data["missing_scopes"] == ["forecasts:write"]
    assert "tools/call delete_station" not in weather.called()


def test_progress_and_a_streamed_result_pass(gate: Gate, reader: str, mode: str) -> None:
    steps: list[tuple[float, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, message))

    async def ask() -> Any:
        async with client_of(gate.endpoint, reader, mode=mode) as client:
            return await client.call_tool("report", {"steps": 3}, progress_callback=note)

    assert asyncio.run(ask()).content[0].text == "done"
    assert steps == [(1, "step 1"), (2, "step 2"), (3, "step 3")]
