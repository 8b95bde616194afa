"""Follow a page as its reader does: type its blocks into a shell, save its files, and compare what is printed.

- ``sh`` blocks run in one shell, in order; a command that fails ends the walk.
- ``sh title="terminal …"`` begins in a terminal of its own, and the walk goes on once it says that it listens.
- A block with another title is a file of that name.
- A ``text`` block after an ``sh`` block is what that one prints. In it, ``…`` stands for anything.
- Blocks without a language, and all others, are to be read.

``ak_…`` in a page is the first key that its server printed. The ports that pages name are free ones here.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from tests.live import free_port

FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LISTENS = re.compile(r"is ready on|running on|Listening at|Serving HTTP")
FIRST_KEY = re.compile(r"KEYSCOPE_API_KEY=(ak_\w{49})")
DEFAULT_PORTS = {"keyscope serve": 8700, "keyscope gate mcp": 8702}
START_S = 30.0
END = "-- the block has ended --"


class Block(NamedTuple):
    """A fenced block of a page."""

    language: str
    title: str
    text: str

    @property
    def is_terminal(self) -> bool:
        return self.language == "sh" and self.title.startswith("terminal")


def blocks(page: str) -> list[Block]:
    return [Block(*found) for found in FENCE.findall(page)]


class Walk:
    """A context manager. ``instead`` has what stands for addresses that a test must not call."""

    def __init__(self, directory: Path, instead: Mapping[str, str]) -> None:
        self._directory = directory
        self._instead = dict(instead)
        self._ports: dict[str, str] = {}
        self._terminals: list[subprocess.Popen[bytes]] = []
        self._environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(directory),
            "PYTHONUNBUFFERED": "1",
            "NO_PROXY": "*",
        }
        self._shell = subprocess.Popen(
            ["bash", "-eu", "-o", "pipefail"],
            cwd=directory,
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def __enter__(self) -> Walk:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._shell.kill()
        self._shell.communicate()
        for terminal in reversed(self._terminals):
            os.killpg(terminal.pid, signal.SIGTERM)
            terminal.wait(20)

    def follow(self, page: str) -> None:
        """All blocks of a page, in order."""
        printed = ""
        for block in blocks(page):
            text = self._here(block.text)
            if block.is_terminal:
                self._begin(text)
            elif block.title:
                (self._directory / block.title).write_text(text)
            elif block.language == "sh":
                printed = self._type(text)
            elif block.language == "text":
                assert_printed(text, printed)

    def _here(self, text: str) -> str:
        """The block with the addresses of this test."""
        text = re.sub(r"(?<=127\.0\.0\.1:)\d+|(?<=--port )\d+", lambda port: self._port(port[0]), text)
        for public, own in self._instead.items():
            text = text.replace(public, own)
        return text

    def _port(self, named: str) -> str:
        return self._ports.setdefault(named, str(free_port()))

    def _begin(self, command: str) -> None:
        log = self._directory / f"terminal-{len(self._terminals)}.log"
        port = next((port for name, port in DEFAULT_PORTS.items() if name in command), None)
        environment = self._environment | ({"KEYSCOPE_PORT": self._port(str(port))} if port else {})
        with log.open("wb") as output:
            terminal = subprocess.Popen(
                ["bash", "-euc", command],
                cwd=self._directory,
                env=environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._terminals.append(terminal)
        if found := FIRST_KEY.search(_what_it_said(terminal, log)):
            self._instead["ak_…"] = found[1]

    def _type(self, command: str) -> str:
        """Run a block in the shell, and give what it printed."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"eval {shlex.quote(command)} </dev/null\necho\necho {shlex.quote(END)}\n")
        self._shell.stdin.flush()
        printed: list[str] = []
        for line in self._shell.stdout:
            if line.rstrip() == END:
                return "".join(printed)
            printed.append(line)
        raise AssertionError(f"this failed:\n{command}\nand printed:\n{''.join(printed)}")


def _what_it_said(terminal: subprocess.Popen[bytes], log: Path) -> str:
    """Everything up to the line that says that it listens."""
    end = time.monotonic() + START_S
    while not LISTENS.search(said := log.read_text()):
        if terminal.poll() is not None or time.monotonic() > end:
            raise AssertionError(f"this does not listen: {terminal.args!r}\n{said}")
        time.sleep(0.02)
    return said


def assert_printed(expected: str, printed: str) -> None:
    """Every line of the page was printed, in this order. Spaces at the end and between columns do not matter."""
    lines = iter([_squeezed(line) for line in printed.splitlines()])
    for line in filter(None, map(_squeezed, expected.splitlines())):
        pattern = re.compile(".*".join(map(re.escape, line.split("…"))))
        assert any(pattern.fullmatch(found) for found in lines), f"the page has\n  {line}\nand printed was\n{printed}"


def _squeezed(line: str) -> str:
    return re.sub(r"\s+", " ", line).strip()
