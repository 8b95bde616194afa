"""An observed key sees and calls tools that it lacks the scopes of, through the MCP gate; each call is written down."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.live import Live
from tests.model_context.running import Gate, Weather, client_of
from tests.tightening.acting import observed
from tests.tightening.reading import entries, within


def test_an_observed_key_calls_a_tool_and_what_it_lacked_is_written_down(
    gate: Gate, weather: Weather, keys: Live
) -> None:
    key = observed(keys, "stations:write")

    async def ask() -> Any:
        async with client_of(gate.endpoint, key["key_secret"]) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            return names, await client.call_tool("get_forecast", {"city": "Berlin"})

    names, result = asyncio.run(ask())
    assert "get_forecast" in names
    assert "wipe" not in names, "what the policy does not list stays hidden"
    assert result.content[0].text == "Berlin: sunny"
    [entry] = within(lambda: entries(keys, key, "call.observed"))
    assert (entry.operation, entry.missing) == ("tools/call get_forecast", ("forecasts:read",))
