"""A real Keyscope server in a process of its own, on a free port of 127.0.0.1, with its files in one directory."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

import httpx

from keyscope.model.scope import Scope
from keyscope.model.token import Kind, format_token

START_S = 20.0


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def new_first_key() -> str:
    """The text of a fresh standard key."""
    return format_token(Kind.STANDARD, os.urandom(32)).reveal()


def wire_scopes(scopes: Iterable[str]) -> list[dict[str, str]]:
    """Scopes in the short form as Runloop's entries."""
    parsed = [Scope.parse(text) for text in scopes]
    return [{"resource_type": scope.wire_type, "access_level": scope.level.wire} for scope in parsed]


class Place(NamedTuple):
    """Where programs of the tests run: their address, and the words that take a command there."""

    address: str = "127.0.0.1"
    enter: tuple[str, ...] = ()


HERE = Place()


class Live:
    """``keyscope serve`` as a user runs it. A context manager; ``first`` is the first standard key."""

    start_s = START_S
    """How long a start may take."""

    def __init__(
        self,
        directory: Path,
        *,
        upstream: str | None = None,
        options: Iterable[str] = (),
        environment: Mapping[str, str] | None = None,
        program: Iterable[str] = ("-m", "keyscope"),
        place: Place = HERE,
    ) -> None:
        self.directory = directory
        self.place = place
        self.port = free_port()
        self.url = f"http://{place.address}:{self.port}"
        self.first = new_first_key()
        self.log_file = directory / "server.log"
        self.database = directory / "keyscope.db"
        self._options = [*options]
        self._upstream = upstream
        self._environment = dict(environment or {})
        self._program = list(program)
        self._process: subprocess.Popen[bytes] | None = None
        self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)

    def __enter__(self) -> Live:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.http.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def command(self) -> list[str]:
        database = ["--database", f"sqlite:///{self.database}"]
        upstream = ["--upstream", self._upstream] if self._upstream else []
        program = [*self.place.enter, sys.executable, *self._program]
        return [*program, "serve", "--port", str(self.port), *database, *upstream, *self._options]

    def start(self) -> Live:
        """Start, and wait for the ready line. Also after an end, on the same files."""
        if self.http.is_closed:
            self.http = httpx.Client(base_url=self.url, timeout=30, trust_env=False)
        environment = {k: v for k, v in os.environ.items() if not k.startswith("KEYSCOPE_")}
        environment |= {"KEYSCOPE_BOOTSTRAP_KEY": self.first, **self._environment}
        before = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=self.directory, env=environment, stdout=subprocess.DEVNULL, stderr=log
            )
        end = time.monotonic() + self.start_s
        while b"is ready on" not in self.log_file.read_bytes()[before:]:
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise AssertionError(f"the server did not start:\n{self.log}")
            time.sleep(0.01)
        return self

    def stop(self) -> None:
        """End it as an operator would."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal, and do not wait."""
        assert self._process is not None
        self._process.send_signal(number)

    def exit_code(self, wait_s: float = 20) -> int:
        """Wait for its end."""
        assert self._process is not None
        return self._process.wait(wait_s)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(20)

    def call(self, method: str, path: str, key: str | None = None, **content: Any) -> httpx.Response:
        """One request with the given key; the first key if None; no key if empty."""
        key = self.first if key is None else key
        headers = {**content.pop("headers", {}), **({"authorization": f"Bearer {key}"} if key else {})}
        return self.http.request(method, path, headers=headers, **content)

    def mint(self, *scopes: str, by: str | None = None, **body: Any) -> dict[str, Any]:
        """A new restricted key: Runloop's reply."""
        response = self.call("POST", "/v1/restricted_keys", by, json={"scopes": wire_scopes(scopes), **body})
        assert response.status_code == 200, response.text
        reply: dict[str, Any] = response.json()
        return reply

    def mint_standard(self, by: str | None = None, **body: Any) -> dict[str, Any]:
        """A new standard key: Runloop's reply."""
        response = self.call("POST", "/v1/apikeys", by, json=body)
        assert response.status_code == 200, response.text
        reply: dict[str, Any] = response.json()
        return reply

    def revoke(self, key_id: str, by: str | None = None) -> httpx.Response:
        return self.call("POST", f"/v1/restricted_keys/{key_id}/revoke", by)
