"""Open the counters that belong to a database: ``<database>.counters`` beside it, created if there are none.

``<database>.counters.marker`` remembers that there were some: without it, to delete the file would be to give back
every use that was spent.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
from pathlib import Path

from keyscope.errors import CountersUnavailable
from keyscope.store import migrate
from keyscope.store.counters import SqliteCounters
from keyscope.store.marker import Mark, Marker
from keyscope.store.running import Running
from keyscope.store.trouble import opening, unusable
from keyscope.store.walindex import identity

SUFFIX = ".counters"
APPLICATION_ID = 0x4B657943
"""“KeyC”."""

_SCRIPTS = "counter_migrations"
_BUSY_TIMEOUT_S = 2.0
_PAGE_BYTES = 1024
"""Each call writes whole pages, of which it changes a few bytes."""


def counters_beside(database: Path) -> Path:
    """The file of the counters. As SQLite does, links to the database are followed first."""
    database = database.resolve()
    return database.with_name(database.name + SUFFIX)


def open_counters(path: Path | None) -> SqliteCounters:
    """The counters in this file; None for some that are gone with the process. Raises ConfigurationError."""
    if path is None:
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        migrate.migrate(connection, migrate.steps(_SCRIPTS), APPLICATION_ID)
        return SqliteCounters(connection, None, None, lambda: None)
    _find_or_create(path)
    found = identity(path)

    def check() -> None:
        if identity(path) != found:
            raise CountersUnavailable(f"the counters {path} are no longer the file that was opened")

    with opening(path):
        connection = _connect(path)
        _bring_up(connection, path)
        connection.execute("PRAGMA busy_timeout = 0")  # those who count wait by themselves, and not for long
        upkeep = _connect(path)
    return SqliteCounters(connection, upkeep, Running(path.with_name(path.name + ".running")), check)


def _find_or_create(path: Path) -> None:
    marker = Marker(path)
    if not path.exists() and marker.read() is not None:
        raise unusable(
            f"The counters {path} are gone, but their marker {marker.path} is there. Restore them from a backup."
            " Only if every use that was spent may be spent once more, delete the marker and start again."
        )
    try:
        # Before SQLite does, for the mode: SQLite gives the -wal and -shm files the mode of the database.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise unusable(
            f"The counters {path} cannot be opened: {error.strerror}. Let this user write to them and their directory."
        ) from error
    if marker.read() is None:
        marker.create(Mark(secrets.token_hex(16), 0))


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=_BUSY_TIMEOUT_S, isolation_level=None, check_same_thread=False
    )
    for pragma in (f"page_size = {_PAGE_BYTES}", "synchronous = NORMAL", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _bring_up(connection: sqlite3.Connection, path: Path) -> None:
    scripts = migrate.steps(_SCRIPTS)
    migrate.check_ours(connection, path, len(scripts), APPLICATION_ID)
    migrate.write_ahead(connection, _BUSY_TIMEOUT_S)
    migrate.migrate(connection, scripts, APPLICATION_ID)
    connection.execute("SELECT id, name, used, calls FROM holders LIMIT 1").fetchone()
