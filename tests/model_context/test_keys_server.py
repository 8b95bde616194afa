"""``keyscope mcp`` with the official client: a model mints, narrows and ends keys, and no more than its own key may."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp_types import CallToolResult, TextContent

from keyscope.derive import attenuate
from tests.cli.run import keyscope
from tests.live import Live
from tests.model_context.running import clean_environment
from tests.recorder import Recorder

READING = {"whoami", "can_i_call", "list_keys", "describe_key"}
WRITING = {"create_key", "narrow_key", "rotate_key", "suspend_key", "revoke_key"}
DEVBOXES = {"resource_type": "devboxes", "access_level": "read"}


@pytest.fixture(scope="module")
def served(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory(), upstream=upstream.url) as live:
        yield live


@pytest.fixture
def errors(new_directory: Callable[[], Path]) -> Path:
    """Where the MCP server's stderr goes; the search for leaked secrets reads it too."""
    return new_directory() / "mcp.log"


def talk(live: Live, key: str, errors: Path, conversation: Callable[[Client], Any]) -> Any:
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "keyscope", "mcp"],
        env=clean_environment(KEYSCOPE_URL=live.url, KEYSCOPE_API_KEY=key),
    )

    async def run() -> Any:
        with errors.open("w") as log:
            async with Client(stdio_client(parameters, errlog=log)) as client:
                return await conversation(client)

    return asyncio.run(asyncio.wait_for(run(), 60))


async def use(client: Client, name: str, /, **arguments: Any) -> Any:
    """What a tool answered, which must not be an error."""
    result = await client.call_tool(name, arguments)
    assert not result.is_error, result.content
    return json.loads(text_of(result))


async def refusal(client: Client, name: str, /, **arguments: Any) -> str:
    """The words of a tool that refused."""
    result = await client.call_tool(name, arguments)
    assert result.is_error, result.content
    return text_of(result)


def text_of(result: CallToolResult) -> str:
    [content] = result.content
    assert isinstance(content, TextContent)
    return content.text


def tools(live: Live, key: str, errors: Path) -> dict[str, Any]:
    async def ask(client: Client) -> dict[str, Any]:
        return {tool.name: tool for tool in (await client.list_tools()).tools}

    found: dict[str, Any] = talk(live, key, errors, ask)
    return found


def test_a_keys_life(served: Live, errors: Path, upstream: Recorder) -> None:
    secrets: list[str] = []

    async def life(client: Client) -> None:
        write = {"resource_type": "devboxes", "access_level": "write"}
        made = await use(client, "create_key", name="agent", scopes=[write], expires_in="1h")
        secret, key_id = made["key_secret"], made["id"]
        secrets.append(secret)
        assert served.call("POST", "/v1/devboxes", secret, json={}).status_code == 200
        narrowed = await use(client, "narrow_key", key_id=key_id, scopes=[DEVBOXES])
        assert narrowed["scopes"] == [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}]
        assert served.call("POST", "/v1/devboxes", secret, json={}).status_code == 403
        assert served.call("GET", "/v1/devboxes", secret).status_code == 200
        assert key_id in [key["id"] for key in (await use(client, "list_keys", status="active"))["restricted_keys"]]
        assert (await use(client, "describe_key", key_id=key_id))["name"] == "agent"
        rotated = (await use(client, "rotate_key", key_id=key_id))["key_secret"]
        secrets.append(rotated)
        assert served.call("GET", "/v1/devboxes", secret).status_code == 401
        assert served.call("GET", "/v1/devboxes", rotated).status_code == 200
        assert (await use(client, "suspend_key", key_id=key_id, reason="a pause"))["status"] == "suspended"
        assert (await use(client, "revoke_key", key_id=key_id, reason="done"))["status"] == "revoked"
        assert served.call("GET", "/v1/devboxes", rotated).status_code == 401

    talk(served, served.first, errors, life)
    assert len(secrets) == 2
    assert not [secret for secret in [*secrets, served.first] if secret in errors.read_text() or secret in served.log]


def test_a_key_that_only_reads_is_offered_only_reading(served: Live, errors: Path) -> None:
    found = tools(served, served.mint("account:read")["key_secret"], errors)
    assert set(found) == READING
    assert all(tool.annotations.read_only_hint for tool in found.values())


def test_a_key_without_the_account_is_offered_itself(served: Live, errors: Path) -> None:
    assert set(tools(served, served.mint("devboxes:write")["key_secret"], errors)) == {"whoami", "can_i_call"}


def test_a_derived_key_is_offered_no_changes(served: Live, errors: Path) -> None:
    derived = attenuate(served.mint("account:write")["key_secret"], scopes=["account:write"])
    assert set(tools(served, derived, errors)) == READING


def test_the_tools_say_what_they_take_and_do(served: Live, errors: Path) -> None:
    found = tools(served, served.first, errors)
    assert set(found) == READING | WRITING
    entry = found["create_key"].input_schema["properties"]["scopes"]["items"]["properties"]
    assert len(entry["resource_type"]["enum"]) == 9
    assert entry["access_level"]["enum"] == ["read", "write"]
    assert found["create_key"].input_schema["properties"]["expires_in"]["default"] == "8h"
    assert {name for name, tool in found.items() if tool.annotations.read_only_hint} == READING
    destructive = {name for name, tool in found.items() if tool.annotations.destructive_hint}
    assert destructive == WRITING - {"create_key"}
    assert found["revoke_key"].annotations.idempotent_hint
    assert not found["create_key"].annotations.idempotent_hint


def test_a_refusal_comes_in_the_servers_words(served: Live, errors: Path) -> None:
    key = served.mint("account:write", "devboxes:read")["key_secret"]

    async def ask(client: Client) -> None:
        wide = {"resource_type": "objects", "access_level": "write"}
        assert "A key cannot give what it does not have" in await refusal(client, "create_key", name="x", scopes=[wide])
        assert "There is no such thing" in await refusal(client, "describe_key", key_id="key_unknown")
        mine = await use(client, "create_key", name="x", scopes=[DEVBOXES])
        more = {"resource_type": "devboxes", "access_level": "write"}
        words = await refusal(client, "narrow_key", key_id=mine["id"], scopes=[more])
        assert "only takes away" in words
        assert "devboxes:read" in words
        assert "only takes away" in await refusal(client, "narrow_key", key_id=mine["id"], expires_in="30d")
        assert "Say what to take away" in await refusal(client, "narrow_key", key_id=mine["id"])

    talk(served, key, errors, ask)


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("create_key", {"name": "x"}, "'scopes' is a required property"),
    ("create_key", {"name": "x", "scopes": [{**DEVBOXES, "access_level": "all"}]}, "'all' is not one of"),
    ("create_key", {"name": "x", "scopes": [], "expires_in": "soon"}, "$.expires_in"),
    ("create_key", {"name": "x", "scopes": [], "standard": True}, "'standard' was unexpected"),
    ("can_i_call", {"method": "BREW", "path": "/"}, "'BREW' is not one of"),
    ("can_i_call", {"method": "GET", "path": "//"}, "not in canonical form"),
    ("wipe", {}, "There is no tool 'wipe'"),
]


def test_wrong_arguments_are_named(served: Live, errors: Path) -> None:
    async def ask(client: Client) -> None:
        for name, arguments, words in WRONG:
            assert words in await refusal(client, name, **arguments)

    talk(served, served.first, errors, ask)


def test_a_new_key_ends_by_default_and_never_after_the_one_that_minted_it(served: Live, errors: Path) -> None:
    async def ask(client: Client) -> tuple[int, int | None]:
        me = await use(client, "whoami")
        made = await use(client, "create_key", name="x", scopes=[])
        return made["expires_at_ms"], me["expires_at_ms"]

    end, own = talk(served, served.first, errors, ask)
    assert own is None
    short = served.mint("account:write", expires_at_ms=end - 3_600_000)["key_secret"]
    assert talk(served, short, errors, ask) == (end - 3_600_000, end - 3_600_000)


def test_a_wrong_start_is_said_at_once(served: Live) -> None:
    assert "Set KEYSCOPE_API_KEY" in keyscope("mcp").stderr
    done = keyscope("mcp", KEYSCOPE_URL=served.url, KEYSCOPE_API_KEY="ak_nonsense")
    assert (done.returncode, "The key is not valid" in done.stderr) == (1, True)


def test_without_the_package_the_command_says_what_to_install(tmp_path: Path) -> None:
    # A module finder that knows no mcp stands for an installation without it.
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['mcp'] = None\n")
    done = keyscope("mcp", PYTHONPATH=str(tmp_path), KEYSCOPE_API_KEY="x")
    assert (done.returncode, "pip install 'keyscope[mcp]'" in done.stderr) == (1, True)
    assert keyscope("policy", "show", "runloop", PYTHONPATH=str(tmp_path)).returncode == 0
