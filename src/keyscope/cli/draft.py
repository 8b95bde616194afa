"""``keyscope policy draft-mcp``: a first policy from what a live MCP server offers, for a person to check.

What a server says about its own tools is a hint and no proof: only what it marks as read-only is drafted with read, and
everything is written out, so that each line can be looked at.
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING, Any

import click
from msgspec import Struct

from keyscope.cli.mcp import require_mcp
from keyscope.cli.options import option
from keyscope.policy.rows import Names
from keyscope.policy.tools import name_problem

if TYPE_CHECKING:
    from mcp import Client

_MOST_PAGES = 100


class Found(Struct, frozen=True):
    """Something that a server offers. ``reads`` is its own word."""

    section: str
    name: str
    reads: bool
    why: str


@click.command("draft-mcp")
@click.argument("url")
@option("--type", "resource", default="tools", show_default=True, help="The resource type that the draft speaks of.")
def draft_mcp(url: str, resource: str) -> None:
    """Print the draft of a policy for the MCP server at URL, for a person to check.

    The server's own credential, if it needs one, comes from KEYSCOPE_UPSTREAM_KEY.
    """
    require_mcp("keyscope policy draft-mcp")
    if not Names.is_name(resource):
        raise click.UsageError(f"{resource!r} is not a resource type: use a-z, 0-9 and _, a letter first.")
    import anyio

    try:
        found = anyio.run(_offers, url)
    except Exception as error:
        reason = type(error).__name__
        raise click.ClickException(f"{url} did not answer like an MCP server ({reason}). Is it its endpoint?") from None
    click.echo("\n".join(_lines(url, resource, found)))


async def _offers(url: str) -> list[Found]:
    import httpx2
    from mcp import Client
    from mcp.client.streamable_http import streamable_http_client

    key = os.environ.get("KEYSCOPE_UPSTREAM_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        return [found async for found in _walk(client)]


async def _walk(client: Client) -> Any:
    has = client.server_capabilities
    if has.tools:
        for tool in await _all(client.list_tools, "tools"):
            reads = bool(tool.annotations and tool.annotations.read_only_hint)
            yield Found("tools", tool.name, reads, tool.description or "")
    if has.prompts:
        for prompt in await _all(client.list_prompts, "prompts"):
            yield Found("prompts", prompt.name, True, prompt.description or "")
    if has.resources:
        for resource in await _all(client.list_resources, "resources"):
            yield Found("resources", str(resource.uri), True, resource.description or "")
        for template in await _all(client.list_resource_templates, "resource_templates"):
            yield Found("resources", template.uri_template, True, template.description or "")


async def _all(page_of: Callable[..., Awaitable[Any]], member: str) -> list[Any]:
    items: list[Any] = []
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        page = await page_of(cursor=cursor)
        items += getattr(page, member)
        cursor = page.next_cursor
        if cursor is None:
            break
    return items


def _lines(url: str, resource: str, found: list[Found]) -> Iterator[str]:
    yield "# A draft, made from what the server says of itself. Check each line: what only reads, what changes, and"
    yield "# whether all of it is one resource type. What you remove is hidden from restricted keys, and refused."
    yield from ("policy: draft", f"title: {json.dumps('The MCP server at ' + url)}", "", "resource_types:")
    yield f"  {resource}: {json.dumps('What this server offers')}"
    yield from ("", "mcp:")
    for section in ("tools", "prompts", "resources"):
        rows = [row for row in found if row.section == section]
        if rows:
            yield f"  {section}:"
            yield from (line for row in rows for line in _row(row, resource))


def _row(row: Found, resource: str) -> Iterator[str]:
    problem = name_problem(row.section, row.name)
    if problem:
        yield f"    # left out: {json.dumps(row.name)} {problem}"
        return
    yield f"    {json.dumps(row.name)}:"
    yield f"      needs: [{resource}:{'read' if row.reads else 'write'}]"
    why = " ".join(row.why.split())
    if why:
        yield f"      why: {json.dumps(why[:120])}"
