"""Servers under measurement: each a process tree on one core, while the load comes from another."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

from scripts.programs import find_program

from bench import keys
from bench.report import Missing

SERVER_CORE = 0
LOAD_CORE = 1
_START_S = 120.0
_TO_HAVE = {"nginx": "Debian: apt-get install nginx-light", "haproxy": "Debian: apt-get install haproxy"}


class Running(NamedTuple):
    """A server: its first process, and where it answers."""

    pid: int
    url: str


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """The command on one core, where there are several."""
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > core else list(command)


def required(name: str) -> str:
    """Where a program is. Raises Missing, saying how to have it."""
    found = find_program(name)
    if found is None:
        raise Missing(f"needs {name} ({_TO_HAVE.get(name, 'make bench installs it')})")
    return found


@contextlib.contextmanager
def running(
    command: Sequence[str],
    port: int,
    log: Path,
    *,
    core: int = SERVER_CORE,
    environment: Mapping[str, str] | None = None,
    directory: Path | None = None,
) -> Iterator[Running]:
    """A server that listens on the port when the block begins, and is ended with it."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned(core, command),
            cwd=directory,
            env={**os.environ, **(environment or {})},
            stdout=output,
            stderr=output,
        )
    try:
        _until_open(process, port, log)
        yield Running(process.pid, f"http://127.0.0.1:{port}")
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def keyscope(
    directory: Path, *, key_count: int, upstream: str | None = None, options: Sequence[str] = ()
) -> AbstractContextManager[Running]:
    """A Keyscope with so many keys, on a database of its own."""
    port = free_port()
    command = serve_command(keys.a_copy(key_count, directory), port, upstream, *options)
    environment = {"KEYSCOPE_UPSTREAM_KEY": "ak_upstream"} if upstream else {}
    return running(command, port, directory / "keyscope.log", environment=environment)


def serve_command(database: Path, port: int, upstream: str | None = None, *options: str) -> list[str]:
    gate = ["--upstream", upstream] if upstream else []
    words = ["serve", "--port", str(port), "--database", f"sqlite:///{database}", *gate, *options]
    return [sys.executable, "-m", "keyscope", *words]


def program(name: str, *arguments: str) -> list[str]:
    """One of the bench's own servers."""
    return [sys.executable, "-m", f"bench.programs.{name}", *arguments]


def cpu_s(pid: int, *, but: str = "") -> float:
    """The processor time that the process and everything below it have used, without the programs of one name."""
    ticks = 0
    for one in _tree(pid):
        before, _, after = Path(f"/proc/{one}/stat").read_text().rpartition(")")
        after_name = after.split()
        if before.partition("(")[2] == but:
            continue
        ticks += int(after_name[11]) + int(after_name[12])  # utime and stime, proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")


def resident_mib(pid: int) -> float:
    """The memory of the process and everything below it (VmRSS)."""
    return sum(_status_kib(one, "VmRSS:") for one in _tree(pid)) / 1024


def anonymous_mib(pid: int) -> float:
    """The memory of the tree that is no page of a file (RssAnon): a mapped database is not counted."""
    return sum(_status_kib(one, "RssAnon:") for one in _tree(pid)) / 1024


def forget_peak(pid: int) -> None:
    """Let ``peak_mib`` begin anew."""
    for one in _tree(pid):
        Path(f"/proc/{one}/clear_refs").write_text("5")


def peak_mib(pid: int) -> float:
    """The most that each process of the tree had since ``forget_peak`` (VmHWM), added up."""
    return sum(_status_kib(one, "VmHWM:") for one in _tree(pid)) / 1024


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            yield from _tree(int(child))


def _status_kib(pid: int, field: str) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field))


def _until_open(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    end = time.monotonic() + _START_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"the server did not start: {log.read_text()[-2000:]}")
