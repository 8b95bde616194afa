"""``keyscope mcp``: an MCP server over stdio, whose tools mint, narrow, describe, list and end keys.

It holds one key, the one in KEYSCOPE_API_KEY, and can do what that key can. A secret that a tool mints stands in that
tool's one result, and nowhere else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import click

from keyscope import __version__
from keyscope.cli.client import Client, connect
from keyscope.cli.mcp_tools import TOOLS, KeyTool, offered

if TYPE_CHECKING:
    from mcp.server import Server

INSTRUCTIONS = (
    "Keyscope issues API keys that can do less. Mint one key per task, with the fewest scopes and the shortest life "
    "that will do, and revoke it when the task is done. A refusal says what is missing; do not try to get around it."
)
_BY_NAME = {tool.name: tool for tool in TOOLS}


@click.command()
def mcp() -> None:
    """Serve the Model Context Protocol on stdin and stdout: tools to mint, narrow, list and end keys.

    The tools are those that the key in KEYSCOPE_API_KEY can use, on the server at KEYSCOPE_URL.
    """
    require_mcp("keyscope mcp")
    import anyio

    with connect() as client:
        client.get("/keyscope/me")  # a wrong key or address is said now, to a person
        anyio.run(_serve, client)


def require_mcp(what: str) -> None:
    """Raise ClickException, with the remedy, if the optional package is not installed."""
    if find_spec("mcp") is None:
        raise click.ClickException(f"{what} needs the package mcp. Install it: pip install 'keyscope[mcp]'")


async def _serve(client: Client) -> None:
    from mcp.server.stdio import stdio_server

    server = server_of(client)
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def server_of(client: Client) -> Server[Any]:
    """The MCP server on top of a client. One call at a time, in a thread beside the event loop."""
    import mcp_types as types
    from anyio import CapacityLimiter, to_thread
    from mcp.server import Server

    one = CapacityLimiter(1)

    async def list_tools(_: Any, __: Any) -> types.ListToolsResult:
        listed = await to_thread.run_sync(_listed, client, limiter=one)
        return types.ListToolsResult(tools=[types.Tool.model_validate(tool) for tool in listed], cache_scope="private")

    async def call_tool(_: Any, params: types.CallToolRequestParams) -> types.CallToolResult:
        work = partial(_called, client, params.name, params.arguments or {})
        text, is_error = await to_thread.run_sync(work, limiter=one)
        return types.CallToolResult(content=[types.TextContent(text=text)], is_error=is_error)

    return Server(
        "keyscope", version=__version__, instructions=INSTRUCTIONS, on_list_tools=list_tools, on_call_tool=call_tool
    )


def _listed(client: Client) -> list[dict[str, Any]]:
    types = client.get("/keyscope/operations")["resource_types"]
    return [_described(tool, types) for tool in offered(client)]


def _described(tool: KeyTool, types: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.about,
        "inputSchema": tool.schema(types),
        "annotations": {
            "readOnlyHint": tool.reads,
            "destructiveHint": tool.destroys,
            "idempotentHint": tool.repeats,
            "openWorldHint": False,
        },
    }


def _called(client: Client, name: str, given: Mapping[str, Any]) -> tuple[str, bool]:
    """What a tool says, and whether it is an error: then in the server's own words."""
    tool = _BY_NAME.get(name)
    if tool is None:
        return f"There is no tool {name!r}. The tools are those of tools/list.", True
    try:
        faults = _faults(tool, given, client.get("/keyscope/operations")["resource_types"])
        if faults:
            return f"The arguments are not right. {' '.join(faults)}", True
        return json.dumps(tool.run(client, given), ensure_ascii=False, indent=2), False
    except click.ClickException as error:
        return error.message, True


def _faults(tool: KeyTool, given: Mapping[str, Any], types: Mapping[str, str]) -> list[str]:
    from jsonschema import Draft202012Validator

    found = Draft202012Validator(tool.schema(types)).iter_errors(dict(given))
    return [f"{error.json_path}: {error.message}." for error in found]
