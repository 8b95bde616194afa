"""The programs of these tests, each in a process of its own: the MCP server, Keyscope, and the gate between."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from tests.live import Live, free_port

POLICY = Path(__file__).parent / "weather.yaml"
UPSTREAM_KEY = "the-upstreams-own-credential"
START_S = 20.0


class Weather:
    """The MCP server of ``weather.py``. A context manager."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        self._file = directory / "requests.jsonl"
        self._log = directory / "weather.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._read = 0

    def __enter__(self) -> Weather:
        command = [sys.executable, "-m", "tests.model_context.weather", str(self.port), str(self._file)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=Path(__file__).parents[2], stdout=log, stderr=log)
        end = time.monotonic() + START_S
        while not _answers(self.port):
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < end, self._log.read_text()
            time.sleep(0.02)
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)

    def take(self) -> list[dict[str, Any]]:
        """The requests that came since the last time: ``method``, ``headers``, ``body``."""
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        taken, self._read = lines[self._read :], len(lines)
        return [json.loads(line) for line in taken]

    def called(self) -> list[str]:
        """The JSON-RPC methods, and names, that came since the last time."""
        bodies = [json.loads(request["body"]) for request in self.take() if request["body"]]
        return [_call(body) for body in bodies]


def _call(body: dict[str, Any]) -> str:
    params = body.get("params", {})
    name = params.get("name", params.get("uri", ""))
    return f"{body.get('method', 'response')} {name}".strip()


def _answers(port: int) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code > 0
    except httpx2.TransportError:
        return False


class Gate(Live):
    """``keyscope gate mcp`` as a user runs it, on the database of a server; its file, or the options that name it."""

    def __init__(self, directory: Path, database: Path | list[str], upstream: str, policy: Path = POLICY) -> None:
        super().__init__(directory, environment={"KEYSCOPE_UPSTREAM_KEY": UPSTREAM_KEY})
        self._on = database if isinstance(database, list) else ["--database", f"sqlite:///{database}"]
        self.endpoint = f"{self.url}/mcp"
        self._to, self._policy = upstream, policy

    def __enter__(self) -> Gate:
        self.start()
        return self

    def command(self) -> list[str]:
        words = ["gate", "mcp", "--port", str(self.port), "--upstream", self._to, "--policy", str(self._policy)]
        return [sys.executable, "-m", "keyscope", *words, *self._on]


@asynccontextmanager
async def client_of(endpoint: str, key: str, **more: Any) -> AsyncIterator[Client]:
    """The official client, with a key."""
    async with (
        httpx2.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=30, trust_env=False) as http,
        Client(streamable_http_client(endpoint, http_client=http), **more) as client,
    ):
        yield client


def error_of(ask: Callable[[Client], Awaitable[Any]], gate: Gate, key: str, mode: str = "legacy") -> Any:
    """The JSON-RPC error that a call through the official client is answered with."""

    async def asked() -> MCPError:
        async with client_of(gate.endpoint, key, mode=mode) as client:
            with pytest.raises(MCPError) as refused:
                await ask(client)
            return refused.value

    return asyncio.run(asked()).error


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without Keyscope's variables, and these."""
    return {name: value for name, value in os.environ.items() if not name.startswith("KEYSCOPE_")} | more
