"""Has anybody committed? The answer in some 60 ns, from the header of SQLite's WAL-index.

In WAL mode every commit, by any process on the host, ends by rewriting the 48-byte header of the shared-memory file
``<database>-shm``, twice over (https://www.sqlite.org/walformat.html, section 2.1: iChange, mxFrame, salts and
checksums are all in it). So bytes 0 to 95 are the same exactly as long as nothing was committed.

One file is mapped once per process and unmapped only when nothing here has the database open any more: POSIX drops
all of a process's locks on a file when the process closes *any* descriptor of it, SQLite's own locks included. For
the same reason nothing in this package opens the database file itself, except through SQLite.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from mmap import ACCESS_READ, mmap
from pathlib import Path
from threading import Lock

Identity = tuple[int, int]
"""Device and inode."""

_HEADERS = slice(0, 96)
_MAPPED = 4096
_lock = Lock()
_open: dict[Identity, WalIndex] = {}


def identity(path: Path | str) -> Identity | None:
    """Which file is at the path now; None if there is none or it may not be looked at."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


class WalIndex:
    """The WAL-index of one open database."""

    def __init__(self, database: Identity, path: Path) -> None:
        self.database = database
        self.path = path
        self.users = 0
        self._identity: Identity | None = None
        self._descriptor: int | None = None
        self._map: mmap | None = None

    def reader(self) -> Callable[[], object] | None:
        """A function that reads both headers, or None if the file cannot be mapped."""
        return partial(self._map.__getitem__, _HEADERS) if self._map is not None else None

    def in_place(self) -> bool:
        """Whether the mapped file is still the one at its path."""
        return self._map is None or identity(self.path) == self._identity

    def map(self) -> None:
        """Map the file, once. To be called when a connection has read in WAL mode: only then is the file there."""
        with _lock, suppress(OSError, ValueError):
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                self._identity = identity(self.path)
                self._map = mmap(self._descriptor, _MAPPED, access=ACCESS_READ)

    def _close(self) -> None:
        if self._map is not None:
            self._map.close()
        if self._descriptor is not None:
            os.close(self._descriptor)


def enter(database: Path) -> WalIndex:
    """Say, before connecting, that this process opens the database. Raises FileNotFoundError if it is not there."""
    status = os.stat(database)
    key = (status.st_dev, status.st_ino)
    with _lock:
        found = _open.setdefault(key, WalIndex(key, database.with_name(database.name + "-shm")))
        found.users += 1
    return found


def leave(index: WalIndex) -> None:
    """Say, after the connection is closed, that it is."""
    with _lock:
        index.users -= 1
        if not index.users:
            del _open[index.database]
            index._close()
