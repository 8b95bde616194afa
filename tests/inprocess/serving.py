"""An application in a real server, in a process of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from tests.live import Live, free_port

ROOT = Path(__file__).parents[2]
SERVERS = ("uvicorn", "granian")
START_S = 20.0


class NotStarted(Exception):
    """With what the server wrote."""


class Served:
    """A context manager. ``server`` is uvicorn or granian."""

    def __init__(
        self, server: str, directory: Path, app: str, environment: Mapping[str, str], *, path: Path = ROOT
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log_file = directory / f"{server}-{self.port}.log"
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        self._command = _command(server, app, self.port)
        self.environment = {**environment}
        self._environment = {**os.environ, **environment, "PYTHONPATH": str(path)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def __enter__(self) -> Served:
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(self._command, env=self._environment, stdout=log, stderr=log)
        end = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self._end()
                raise NotStarted(self.log)
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self._end()

    def call(self, method: str, path: str, key: str = "", **content: Any) -> httpx.Response:
        headers = [*content.pop("headers", []), *([("authorization", f"Bearer {key}")] if key else [])]
        return self.http.request(method, path, headers=headers, **content)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _end(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(20)


def _command(server: str, app: str, port: int) -> list[str]:
    where = ["--host", "127.0.0.1", "--port", str(port)]
    if server == "uvicorn":
        return [sys.executable, "-m", "uvicorn", app, *where, "--http", "h11"]
    return [sys.executable, "-m", "granian", app, *where, "--interface", "asgi"]


def guard_environment(live: Live, source: str) -> dict[str, str]:
    """What tests/inprocess/guarded.py is to be told: ``embedded`` or ``remote``."""
    if source == "remote":
        return {"GUARD_URL": live.url, "GUARD_KEY": live.first}
    return {"GUARD_DATABASE": f"sqlite:///{live.database}"}
