"""Resources, prompts, completions, logging, elicitation, subscriptions: passed on purpose, or refused on purpose."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from mcp import Client
from mcp_types import ElicitResult, PromptReference, ResourceTemplateReference

from tests.live import Live
from tests.model_context.running import Gate, Weather, client_of, error_of
from tests.model_context.spoken import Session

AGES = ["legacy", "2026-07-28"]


@pytest.fixture(params=AGES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_resources_are_listed_and_read_by_scope(gate: Gate, keys: Live, weather: Weather, mode: str) -> None:
    key = keys.mint("stations:read")["key_secret"]

    async def ask() -> tuple[Any, ...]:
        async with client_of(gate.endpoint, key, mode=mode) as client:
            lists = await client.list_resources(), await client.list_resource_templates()
            return *lists, await client.read_resource("weather://stations/42")

    resources, templates, content = asyncio.run(ask())
    assert resources.resources == []
    assert [template.uri_template for template in templates.resource_templates] == ["weather://stations/{id}"]
    assert content.contents[0].text == "station 42"
    weather.take()
    for uri in ("weather://stations/42/secrets", "weather://everything", "weather://stations/"):

        def read(client: Client, uri: str = uri) -> Any:
            return client.read_resource(uri)

        assert error_of(read, gate, key, mode).code in (-32010, -32600)
    assert not [call for call in weather.called() if call.startswith("resources/read")]


UNPLAIN = [
    "weather://stations/..",
    "weather://stations/%2e%2e",
    "weather://stations/a%2fsecrets",
    "weather://stations/a?b=c",
    "weather://stations/a#b",
    "weather://stations/a;b",
    "weather://stations/a\\b",
    "weather://stations//secrets",
    "weather://stations/{id}",
    "weather://stations/\uff41",
]


@pytest.mark.parametrize("uri", UNPLAIN)
def test_a_uri_that_programs_could_read_in_two_ways_is_refused(
    gate: Gate, keys: Live, weather: Weather, uri: str
) -> None:
    key = keys.mint("stations:read")["key_secret"]
    assert error_of(lambda client: client.read_resource(uri), gate, key).data["code"] == "invalid_target"
    assert not [call for call in weather.called() if call.startswith("resources/read")]


def test_prompts_are_listed_and_given_by_scope(gate: Gate, reader: str, writer: str, mode: str) -> None:
    async def ask() -> tuple[Any, Any]:
        async with client_of(gate.endpoint, reader, mode=mode) as client:
            return await client.list_prompts(), await client.get_prompt("plan_trip", {"city": "Berlin"})

    listed, prompt = asyncio.run(ask())
    assert [found.name for found in listed.prompts] == ["plan_trip"]
    assert "Berlin" in prompt.messages[0].content.text
    refused = error_of(lambda client: client.get_prompt("plan_trip", {"city": "x"}), gate, writer, mode)
    assert refused.data["missing_scopes"] == ["forecasts:read"]
    assert error_of(lambda client: client.get_prompt("hidden_prompt"), gate, reader, mode).code == -32010


def test_a_completion_is_judged_as_what_it_helps_to_call(gate: Gate, reader: str, writer: str, mode: str) -> None:
    prompt = PromptReference(name="plan_trip")
    station = ResourceTemplateReference(uri="weather://stations/{id}")
    argument = {"name": "city", "value": "B"}

    async def ask() -> Any:
        async with client_of(gate.endpoint, reader, mode=mode) as client:
            return await client.complete(prompt, argument)

    assert asyncio.run(ask()).completion.values == ["Berlin"]
    refused = error_of(lambda client: client.complete(station, argument), gate, reader, mode)
    assert refused.data["missing_scopes"] == ["stations:read"]
    assert error_of(lambda client: client.complete(prompt, argument), gate, writer, mode).code == -32010


def test_a_method_needs_a_row_of_its_own(gate: Gate, reader: str, writer: str, weather: Weather) -> None:
    message = {"jsonrpc": "2.0", "id": 3, "method": "logging/setLevel", "params": {"level": "debug"}}
    refused = Session(gate, writer).open().post(message)
    assert (refused.status_code, refused.json()["error"]["data"]["missing_scopes"]) == (403, ["forecasts:read"])
    assert "logging/setLevel" not in weather.called()
    Session(gate, reader).open().post(message)
    assert "logging/setLevel" in weather.called()
    unknown = Session(gate, reader).open().post({**message, "method": "tasks/list"})
    assert unknown.json()["error"]["data"]["code"] == "not_in_policy"


def test_the_upstream_may_ask_the_user_in_a_session(gate: Gate, reader: str) -> None:
    async def yes(context: Any, params: Any) -> ElicitResult:
        return ElicitResult(action="accept", content={"sure": True})

    async def ask() -> Any:
        async with client_of(gate.endpoint, reader, mode="legacy", elicitation_callback=yes) as client:
            return await client.call_tool("ask", {})

    assert asyncio.run(ask()).content[0].text == "accept: True"


def test_changes_of_a_resource_are_heard_by_who_may_read_it(gate: Gate, keys: Live, writer: str) -> None:
    key = keys.mint("forecasts:read")["key_secret"]

    async def listen(client: Client, uri: str) -> None:
        async with client.listen(resource_subscriptions=[uri], tools_list_changed=True):
            pass

    async def heard() -> None:
        async with client_of(gate.endpoint, writer, mode="2026-07-28") as client:
            await listen(client, "weather://stations/42")

    asyncio.run(asyncio.wait_for(heard(), 20))
    refused = error_of(lambda client: listen(client, "weather://stations/42"), gate, key, "2026-07-28")
    assert refused.data["missing_scopes"] == ["stations:read"]
