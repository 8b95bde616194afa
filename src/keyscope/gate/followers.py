"""Gates that keep a copy of the keys, and how a change waits until each of them has it (law 4).

Such a gate, a follower, listens on a Unix socket and puts a link to it into a folder beside the database. Whoever has
committed a change asks each of them to confirm before it answers. A follower's copy is good for ``BOUND_MS`` after it
was last brought up to date, so one that does not answer in that time has closed itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from keyscope.authority.ports import Index, Reader, Store, Writer
from keyscope.authority.things import Things
from keyscope.errors import KeyscopeError

T = TypeVar("T")
log = logging.getLogger(__name__)

BOUND_MS = 2000
"""How long a follower may go by its copy without having looked for changes."""

_ASK, _DONE = b"?", b"."
_MARGIN_S = 0.25


def folder_beside(database: Path) -> Path:
    """Where the followers of a database are found."""
    return database.with_name(database.name + ".gates")


class Followers:
    """Those who follow one database."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def confirm(self) -> None:
        """Returns when each follower has everything that is committed now, or has closed itself."""
        try:
            links = [entry.path for entry in os.scandir(self._folder)]
        except FileNotFoundError:
            return
        end = time.monotonic() + BOUND_MS / 1000 + _MARGIN_S
        for link in links:
            if not self._has_confirmed(link, end):
                time.sleep(max(0.0, end - time.monotonic()))

    def count(self) -> int:
        """How many there are, those included that have ended without a word."""
        try:
            return len(os.listdir(self._folder))
        except FileNotFoundError:
            return 0

    def _has_confirmed(self, link: str, end: float) -> bool:
        """False for a follower that does not answer; the link of one that is not there any more is taken away."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
                asking.settimeout(max(0.001, end - time.monotonic()))
                asking.connect(os.readlink(link))
                asking.sendall(_ASK)
                return asking.recv(1) == _DONE
        except (ConnectionRefusedError, FileNotFoundError):
            # No other follower ever has the same link, so this takes away nobody else's.
            log.warning("a gate that followed has ended: %s", link)
            with contextlib.suppress(OSError):
                os.unlink(link)
            return False
        except OSError as error:
            log.warning("a gate that follows does not answer (%s): %s", type(error).__name__, link)
            return False


class FollowedStore:
    """A store whose writes return only when the followers have confirmed."""

    def __init__(self, store: Store, followers: Followers) -> None:
        self._store = store
        self.followers = followers

    def read(self, work: Callable[[Reader], T]) -> T:
        return self._store.read(work)

    def write(self, work: Callable[[Writer], T]) -> T:
        result = self._store.write(work)
        self.followers.confirm()
        return result

    def open_index(self) -> Index:
        return self._store.open_index()

    def open_things(self) -> Things:
        return self._store.open_things()

    def tidy(self) -> None:
        self._store.tidy()

    def check(self) -> None:
        self._store.check()

    def close(self) -> None:
        self._store.close()


@contextlib.asynccontextmanager
async def following(folder: Path, at: Path, confirm: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Be a follower: listen at a path (short: at most 100 bytes), linked from the folder. ``confirm`` is awaited."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            if await reader.read(1) == _ASK:
                await _confirm(confirm, writer)
        writer.close()

    server = await asyncio.start_unix_server(answer, at, backlog=1024)
    folder.mkdir(mode=0o700, exist_ok=True)
    link = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
    link.symlink_to(at)
    try:
        yield
    finally:
        link.unlink(missing_ok=True)
        server.close()


async def _confirm(confirm: Callable[[], Awaitable[None]], writer: asyncio.StreamWriter) -> None:
    try:
        await confirm()
    except KeyscopeError as error:
        log.error("a change cannot be confirmed: %s", error.detail)
        return
    writer.write(_DONE)
    await writer.drain()
