"""Open the audit trail that belongs to a database: ``<database>.audit`` beside it, created if there is none."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from keyscope.store.beside import Beside, make_private
from keyscope.store.trail import SqliteTrail, not_in_place
from keyscope.store.trouble import opening, unusable
from keyscope.store.walindex import identity

TRAIL = Beside(".audit", 0x4B657941, "trail_migrations", busy_timeout_s=2.0)
"""“KeyA”. A write waits for another process for less than what closes the gate."""


def trail_beside(database: Path) -> Path:
    """The file of the trail."""
    return TRAIL.path(database)


def open_trail(path: Path) -> SqliteTrail:
    """The trail in this file. Raises ConfigurationError if it cannot be used."""
    make_private(path, f"The audit trail {path}", "Let this user write to it and its directory.")
    found = identity(path)

    def check() -> None:
        if identity(path) != found:
            raise not_in_place(path)

    with opening(path):
        connection = TRAIL.connect(path)
        try:
            _bring_up(connection, path)
        except BaseException:
            connection.close()
            raise
    return SqliteTrail(connection, lambda: TRAIL.connect(path, "ro"), check)


@contextmanager
def reading_trail(path: Path) -> Iterator[sqlite3.Connection]:
    """One view of the trail in this file, which is left as it is. Raises ConfigurationError if there is none."""
    if not path.exists():
        raise unusable(f"There is no audit trail at {path}. Name the database that it belongs to.")
    with opening(path), closing(TRAIL.connect(path, "ro")) as connection:
        TRAIL.check_ours(connection, path)
        connection.execute("BEGIN")
        connection.execute("SELECT number FROM entries LIMIT 1").fetchone()  # from here on it is one view
        yield connection


def memory_trail() -> SqliteTrail:
    """A trail that is gone with the process."""
    return SqliteTrail(TRAIL.in_memory(), None, lambda: None)


def _bring_up(connection: sqlite3.Connection, path: Path) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    TRAIL.bring_up(connection, path)
    connection.execute("SELECT number, record, hash, at_ms, kind, event FROM entries LIMIT 1").fetchone()
