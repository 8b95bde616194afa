"""A real MCP server. ``python -m tests.model_context.weather PORT FILE`` writes each request that comes to FILE."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.streamable_http import EventCallback, EventId, EventMessage, EventStore, StreamId
from mcp_types import Completion, JSONRPCMessage, ToolAnnotations
from pydantic import BaseModel

Message = MutableMapping[str, Any]
App = Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]

server = MCPServer("weather", log_level="WARNING")
READS, WRITES = ToolAnnotations(read_only_hint=True), ToolAnnotations(destructive_hint=True)


class Yes(BaseModel):
    """What the user is asked for."""

    sure: bool


@server.tool(annotations=READS)
def get_forecast(city: str) -> str:
    """The weather of tomorrow."""
    return f"{city}: sunny"


@server.tool(annotations=WRITES)
def delete_station(station: str, force: bool | None = None) -> str:
    """End a station."""
    return f"{station} is gone, force {force}"


@server.tool(annotations=READS)
async def report(steps: int, context: Context[Any, Any], pause: float = 0.0) -> str:
    """Report progress, step by step."""
    for step in range(steps):
        await context.report_progress(step + 1, steps, f"step {step + 1}")
        await asyncio.sleep(pause)
    return "done"


@server.tool()
async def ask(context: Context[Any, Any]) -> str:
    """Ask the user."""
    answer = await context.elicit("Are you sure?", Yes)
    return f"{answer.action}: {getattr(getattr(answer, 'data', None), 'sure', None)}"


@server.tool()
def wipe() -> str:
    """Not in the policy."""
    return "wiped"


@server.prompt()
def plan_trip(city: str) -> str:
    """Plan a trip."""
    return f"Plan a trip to {city}."


@server.prompt()
def hidden_prompt() -> str:
    """Not in the policy."""
    return "hidden"


@server.resource("weather://stations/{id}")
def station(id: str) -> str:  # noqa: A002  (the template's own name)
    """One station."""
    return f"station {id}"


@server.resource("weather://stations/{id}/secrets")
def secrets(id: str) -> str:  # noqa: A002  (as above)
    """The secrets of a station."""
    return f"secrets of {id}"


@server.resource("weather://everything")
def everything() -> str:
    """Not in the policy."""
    return "everything"


async def complete(ref: Any, argument: Any, context: Any) -> Completion:
    """The same suggestion for all."""
    return Completion(values=["Berlin"])


server.completion()(complete)  # type: ignore[no-untyped-call]  # the package's own decorator has no types


class Events(EventStore):
    """Keeps the events of all streams, so that one can be resumed."""

    def __init__(self) -> None:
        self._events: list[tuple[StreamId, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: StreamId, message: JSONRPCMessage | None) -> EventId:
        self._events.append((stream_id, message))
        return str(len(self._events))

    async def replay_events_after(self, last_event_id: EventId, send_callback: EventCallback) -> StreamId | None:
        stream, _ = self._events[int(last_event_id) - 1]
        for number, (other, message) in enumerate(self._events, start=1):
            if other == stream and number > int(last_event_id) and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def recording(app: App, file: Path) -> App:
    """The application, and one line in the file for each HTTP request before it is looked at."""

    async def record(scope: Message, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return await app(scope, receive, send)
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        headers = {name.decode(): value.decode("latin-1") for name, value in scope["headers"]}
        line = {"method": scope["method"], "headers": headers, "body": body.decode("utf-8", "replace")}
        with file.open("a") as log:
            log.write(json.dumps(line) + "\n")
        given = False

        async def again() -> Any:
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return await app(scope, again, send)

    return record


if __name__ == "__main__":
    inner: Any = server.streamable_http_app(event_store=Events())
    uvicorn.run(recording(inner, Path(sys.argv[2])), port=int(sys.argv[1]), log_level="warning")
