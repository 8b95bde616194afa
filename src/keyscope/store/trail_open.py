"""Open the audit trail that belongs to a database: ``<database>.audit`` beside it, created if there is none."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from keyscope.store import migrate
from keyscope.store.trail import SqliteTrail, not_in_place
from keyscope.store.trouble import opening, unusable

SUFFIX = ".audit"
APPLICATION_ID = 0x4B657941
"""“KeyA”."""

_BUSY_TIMEOUT_S = 2.0
"""How long a write waits for another process. Below what closes the gate."""


def trail_beside(database: Path) -> Path:
    """The file of the trail. As SQLite does, links to the database are followed first."""
    database = database.resolve()
    return database.with_name(database.name + SUFFIX)


def open_trail(path: Path) -> SqliteTrail:
    """The trail in this file. Raises ConfigurationError if it cannot be used."""
    _create(path)
    identity = _identity(path)

    def check() -> None:
        if _identity(path) != identity:
            raise not_in_place(path)

    with opening(path):
        connection = _connect(path)
        try:
            _bring_up(connection, path)
        except BaseException:
            connection.close()
            raise
    return SqliteTrail(connection, lambda: _connect(path, "ro"), check)


@contextmanager
def reading_trail(path: Path) -> Iterator[sqlite3.Connection]:
    """One view of the trail in this file, which is left as it is. Raises ConfigurationError if there is none."""
    if not path.exists():
        raise unusable(f"There is no audit trail at {path}. Name the database that it belongs to.")
    with opening(path), closing(_connect(path, "ro")) as connection:
        migrate.check_ours(connection, path, len(migrate.steps("trail_migrations")), APPLICATION_ID)
        connection.execute("BEGIN")
        connection.execute("SELECT number FROM entries LIMIT 1").fetchone()  # from here on it is one view
        yield connection


def memory_trail() -> SqliteTrail:
    """A trail that is gone with the process."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    migrate.migrate(connection, migrate.steps("trail_migrations"), APPLICATION_ID)
    return SqliteTrail(connection, None, lambda: None)


def _create(path: Path) -> None:
    # Before SQLite does, for the mode: SQLite gives the -wal and -shm files the mode of the database.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise unusable(
            f"The audit trail {path} cannot be opened: {error.strerror}. Let this user write to it and its directory."
        ) from error


def _bring_up(connection: sqlite3.Connection, path: Path) -> None:
    scripts = migrate.steps("trail_migrations")
    migrate.check_ours(connection, path, len(scripts), APPLICATION_ID)
    connection.execute("PRAGMA synchronous = FULL")
    migrate.write_ahead(connection, _BUSY_TIMEOUT_S)
    migrate.migrate(connection, scripts, APPLICATION_ID)
    connection.execute("SELECT number, record, hash, at_ms, kind, event FROM entries LIMIT 1").fetchone()


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _connect(path: Path, mode: str = "rw") -> sqlite3.Connection:
    uri = f"{path.as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False)
