"""MCP spoken by hand, for what a well-behaved client never says."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import httpx

from tests.model_context.running import Gate

ACCEPT = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
VERSION = "2025-11-25"
INITIALIZE: dict[str, Any] = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": VERSION, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}
LIST = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}


class Session:
    """One MCP session, spoken by hand."""

    def __init__(self, gate: Gate, key: str, session: str = "") -> None:
        self.endpoint, self.key, self.session, self.version = gate.endpoint, key, session, VERSION

    @property
    def headers(self) -> dict[str, str]:
        session = {"mcp-session-id": self.session, "mcp-protocol-version": self.version} if self.session else {}
        return {**ACCEPT, "authorization": f"Bearer {self.key}", **session}

    def ask(self, method: str, message: Any = None, **more: str) -> httpx.Response:
        content = {} if message is None else {"json": message}
        headers = {**self.headers, **more}
        return httpx.request(method, self.endpoint, headers=headers, timeout=30, trust_env=False, **content)

    def stream(
        self, method: str, message: Any = None, **more: str
    ) -> contextlib.AbstractContextManager[httpx.Response]:
        content = {} if message is None else {"json": message}
        headers = {**self.headers, **more}
        return httpx.stream(method, self.endpoint, headers=headers, timeout=30, trust_env=False, **content)

    def post(self, message: Any, **more: str) -> httpx.Response:
        return self.ask("POST", message, **more)

    def open(self, version: str = VERSION) -> Session:
        message = {**INITIALIZE, "params": {**INITIALIZE["params"], "protocolVersion": version}}
        response = self.post(message)
        assert response.status_code == 200, response.text
        self.version = events(response)[0]["result"]["protocolVersion"]
        self.session = response.headers["mcp-session-id"]
        assert self.post({"jsonrpc": "2.0", "method": "notifications/initialized"}).status_code == 202
        return self


def events(response: httpx.Response) -> list[Any]:
    """The JSON-RPC messages of a stream that has ended."""
    data = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
    return [json.loads(text) for text in data]
