"""The command as somebody runs it at a terminal: what it says there, line by line as it comes, and its result."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from types import TracebackType

from tests.nodes.team import Member


class Typed:
    """A command whose stderr is a terminal. ``lines`` ends with it; ``result`` is what then stands on stdout."""

    def __init__(self, member: Member, *words: str) -> None:
        environment = {**os.environ, "KEYSCOPE_URL": member.url, "KEYSCOPE_API_KEY": member.first}
        self._begun = b""
        self._terminal, its_end = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "keyscope", *words],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=its_end,
            text=True,
        )
        os.close(its_end)

    def __enter__(self) -> Typed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self._terminal)

    def lines(self) -> Iterator[str]:
        """Those that are still to come."""
        with contextlib.suppress(OSError):  # the other end of the terminal is closed
            while piece := os.read(self._terminal, 1):
                self._begun += piece
                if piece == b"\n":
                    line, self._begun = self._begun.decode().strip(), b""
                    yield line

    def wait_for(self, beginning: str) -> None:
        assert any(line.startswith(beginning) for line in self.lines()), f"it never said {beginning}"

    def say(self, answer: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(answer + "\n")
        self.process.stdin.flush()

    def result(self) -> str:
        said, _ = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, said
        return said
