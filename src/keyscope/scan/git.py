"""Ask git for what it keeps: every object of a repository, the oldest commit with each, and what is about to go in.

Only plumbing commands are run, with all transports closed: a repository that somebody else made can then neither start
programs from its configuration nor fetch anything.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

_CLOSED = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
_TAME = ("-c", "core.fsmonitor=false")
"""Even ``diff-tree`` starts the program that this setting names."""
_SUBMODULE = b"160000"
_PIECE = 1 << 16


class GitTrouble(Exception):
    """Git is missing or failed; the text says how, in git's own words."""


class Entry(NamedTuple):
    """A blob under a path, in a commit."""

    commit: str
    object_id: str
    path: str


class Repository:
    """One repository. ``place`` is git's own directory; None for the one that git finds from here, as a hook does."""

    def __init__(self, place: Path | None) -> None:
        self.place = place
        kept = {name: value for name, value in os.environ.items() if place is None or not name.startswith("GIT_")}
        self._environment = {**kept, **_CLOSED}
        self._where = ["--git-dir", str(place)] if place is not None else []

    def objects(self, ids: Iterable[str] | None = None) -> Iterator[tuple[str, str, Content]]:
        """All objects, or these: id, type, and content to be read before the next. Raises GitTrouble."""
        words = ["cat-file", "--batch", "--buffer"]
        words += ["--batch-all-objects", "--unordered"] if ids is None else []
        with _lines(ids or ()) as names, self._running(words, names) as output:
            while header := output.readline():
                object_id, _, rest = header.decode().strip().partition(" ")
                kind, _, size = rest.partition(" ")
                if not size:
                    raise GitTrouble(f"git has no object {object_id}")
                content = Content(output, int(size))
                yield object_id, kind, content
                content.skip()
                output.read(1)

    def history(self) -> Iterator[Entry]:
        """Every blob that a commit brought in, parents before children. Raises GitTrouble."""
        commits = ["rev-list", "--all", "--reflog", "--reverse", "--topo-order"]
        changes = ["diff-tree", "--stdin", "-r", "--root", "-m", "--raw", "-z", "--no-abbrev", "--no-renames"]
        with tempfile.TemporaryFile() as listed:
            with self._running(commits) as output:
                while piece := output.read(_PIECE):
                    listed.write(piece)
            listed.seek(0)
            with self._running(changes, listed) as output:
                yield from _entries(output)

    def staged(self) -> Iterator[Entry]:
        """The blobs that the next commit would bring in. Raises GitTrouble."""
        with self._running(["rev-parse", "--git-dir"]) as output:
            output.read()  # outside of a repository git diff says nothing that helps; this does
        words = ["diff", "--cached", "--raw", "-z", "--no-abbrev", "--no-renames", "--no-ext-diff"]
        with self._running([*words, "--diff-filter=AMT"]) as output:
            yield from _entries(output)

    @contextmanager
    def _running(self, words: list[str], given: IO[bytes] | None = None) -> Iterator[IO[bytes]]:
        """Git's output. Raises GitTrouble unless git ends well; is ended when what reads it stops early."""
        command = ["git", *_TAME, *self._where, *words]
        with tempfile.TemporaryFile() as said:
            try:
                running = subprocess.Popen(  # noqa: S603  (git, with words of ours, on a place that the user named)
                    command,
                    env=self._environment,
                    stdin=given or subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=said,
                )
            except FileNotFoundError:
                raise GitTrouble("git is not installed, so what it keeps was not looked into") from None
            assert running.stdout is not None  # noqa: S101  (a pipe was asked for)
            with running:
                try:
                    yield running.stdout
                except BaseException:
                    running.kill()
                    raise
            if running.returncode != 0:
                said.seek(0)
                raise GitTrouble(said.read().decode(errors="replace").strip() or f"git ended with {running.returncode}")


class Content:
    """The content of one object, within git's output."""

    def __init__(self, output: IO[bytes], size: int) -> None:
        self._output = output
        self._left = size

    def read(self, size: int, /) -> bytes:
        piece = self._output.read(min(size, self._left))
        self._left -= len(piece)
        return piece

    def skip(self) -> None:
        while self._left and self.read(_PIECE):
            pass


@contextmanager
def _lines(ids: Iterable[str]) -> Iterator[IO[bytes]]:
    """A file with one id a line: through a pipe, git and we could wait for each other."""
    with tempfile.TemporaryFile() as file:
        file.writelines(f"{object_id}\n".encode() for object_id in ids)
        file.seek(0)
        yield file


def _entries(output: IO[bytes]) -> Iterator[Entry]:
    """What ``--raw -z`` says: a commit, or the facts of a change and then its path."""
    commit = ""
    words = _words(output)
    for word in words:
        if not word.startswith(b":"):
            commit = word.decode()
            continue
        _, mode, _, object_id, _ = word.split(b" ")
        path = os.fsdecode(next(words, b""))
        if mode != _SUBMODULE and object_id.strip(b"0"):
            yield Entry(commit, object_id.decode(), path)


def _words(output: IO[bytes]) -> Iterator[bytes]:
    rest = b""
    while piece := output.read(_PIECE):
        *whole, rest = (rest + piece).split(b"\0")
        yield from whole
