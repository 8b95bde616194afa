"""Connections to the database file, and whether it still is the file that they belong to."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from keyscope.errors import StoreUnavailable
from keyscope.store import walindex
from keyscope.store.walindex import WalIndex

OLDEST_SQLITE = (3, 37, 0)
"""The first with STRICT tables."""

_WRITER_CACHE_KIB = 16 << 10
"""For large imports. Readers do better with SQLite's small default: the system caches the file anyway."""


class Link:
    """One connection. It never creates the file, and stays the same file's for life."""

    def __init__(self, path: Path, busy_timeout_s: float) -> None:
        self.wal: WalIndex = walindex.enter(path)
        try:
            self.connection = _connect(path, busy_timeout_s)
        except BaseException:
            walindex.leave(self.wal)
            raise
        self._closed = False

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self.connection.close()
            walindex.leave(self.wal)


def writing(path: Path, busy_timeout_s: float) -> Link:
    """For the one writer: durable on commit, and nothing of what was deleted stays in the file."""
    link = Link(path, busy_timeout_s)
    durable = ("synchronous = FULL", "foreign_keys = ON", "secure_delete = ON")
    for pragma in (*durable, f"cache_size = {-_WRITER_CACHE_KIB}"):
        link.connection.execute(f"PRAGMA {pragma}")
    return link


def reading(path: Path, busy_timeout_s: float, wal: WalIndex) -> Link:
    """For reading what the writer of ``wal`` writes. Raises StoreUnavailable if another file is at the path now."""
    try:
        link = Link(path, busy_timeout_s)
    except OSError as error:
        raise StoreUnavailable(f"the database {path} cannot be opened: {error.strerror}") from error
    if link.wal is not wal or not is_in_place(path, wal):
        link.close()
        raise StoreUnavailable(f"the database {path} is no longer the file that was opened")
    link.connection.execute("PRAGMA query_only = ON")
    return link


def is_in_place(path: Path, wal: WalIndex) -> bool:
    """Whether the database that was opened is still the one at its path."""
    return walindex.identity(path) == wal.database


def database_id(connection: sqlite3.Connection) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE name = 'database_id'").fetchone()
    return row[0] if row is not None else None


def _connect(path: Path, busy_timeout_s: float) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )
