"""What goes on inside a running engine: its processes, its folder, and HAProxy's runtime socket."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.live import Live

T = TypeVar("T")
WAIT_S = 30.0
USAGE = "/v1/devboxes/dbx_1/usage"
"""A read of which HAProxy judges every key alone: there is no credential in its reply."""


def mistyped(secret: str) -> str:
    """Another key's text, which nobody issued."""
    return secret[:-1] + ("x" if secret[-1] != "x" else "y")


def until(condition: Callable[[], T | None], wait_s: float = WAIT_S) -> T:
    """The first result that is true."""
    end = time.monotonic() + wait_s
    while not (result := condition()):
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)
    return result


def children(pid: int) -> list[int]:
    """Processes that this one started, oldest first."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return sorted(int(child) for thread in threads for child in (thread / "children").read_text().split())
    except FileNotFoundError:
        return []


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except FileNotFoundError:
        return ""


class Inside:
    """The parts of one ``keyscope serve --engine haproxy``."""

    def __init__(self, live: Live) -> None:
        self._live = live

    @property
    def haproxy(self) -> int:
        """HAProxy's first process."""
        return until(self._haproxy)

    @property
    def engine(self) -> int:
        """The process that feeds HAProxy."""
        return until(self._engine)

    @property
    def worker(self) -> int:
        """A process that answers what HAProxy asks."""
        engine = self.engine
        spawned = (child for child in children(self._live.pid) if child != engine and b"spawn_main" in _command(child))
        return next(spawned)

    @property
    def folder(self) -> Path:
        return until(self._folder)

    @property
    def socket(self) -> Path:
        return self.folder / "haproxy.sock"

    def ask(self, command: str) -> str:
        """One command on the runtime socket."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(10)
            asking.connect(str(self.socket))
            asking.sendall(command.encode() + b"\n")
            return b"".join(iter(lambda: asking.recv(65536), b"")).decode()

    def map(self, name: str) -> dict[str, str]:
        lines = (line.split(" ", 2) for line in self.ask(f"show map {self.folder / name}").splitlines() if line)
        return {key: value for _, key, value in lines}

    def answered_by(self) -> dict[str, int]:
        """How many requests each backend has answered."""
        rows = [line.split(",") for line in self.ask("show stat").splitlines() if line]
        at = rows[0].index("req_tot")
        return {row[0]: int(row[at] or 0) for row in rows[1:] if row[1] == "BACKEND"}

    def is_judging(self) -> bool:
        """Whether HAProxy may judge alone now."""
        try:
            return int(self.map("lease.map")["until"]) > time.time() * 1000
        except OSError:
            return False

    def _folder(self) -> Path | None:
        """None while the process executes its program anew, as in a reload."""
        command = _command(self.haproxy).split(b"\0")
        return Path(command[command.index(b"-f") + 1].decode()).parent if b"-f" in command else None

    def _engine(self) -> int | None:
        return next((child for child in children(self._live.pid) if self._haproxy_below(child)), None)

    def _haproxy(self) -> int | None:
        found = (self._haproxy_below(child) for child in children(self._live.pid))
        return next((pid for pid in found if pid), None)

    def _haproxy_below(self, pid: int) -> int | None:
        return next((child for child in children(pid) if name_of(child) == "haproxy"), None)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    """A process that stands still."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""
