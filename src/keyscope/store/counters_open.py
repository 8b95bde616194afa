"""Open the counters that belong to a database: ``<database>.counters`` beside it, created if there are none.

``<database>.counters.marker`` remembers that there were some: without it, to delete the file would be to give back
every use that was spent.
"""

from __future__ import annotations

import secrets
import sqlite3
from pathlib import Path

from keyscope.errors import CountersUnavailable
from keyscope.store.beside import Beside, make_private
from keyscope.store.counters import SqliteCounters
from keyscope.store.marker import Mark, Marker
from keyscope.store.running import Running
from keyscope.store.trouble import opening, unusable
from keyscope.store.walindex import identity

COUNTERS = Beside(".counters", 0x4B657943, "counter_migrations", busy_timeout_s=2.0)
"""“KeyC”."""

_PAGE_BYTES = 1024
"""Each call writes whole pages, of which it changes a few bytes."""


def counters_beside(database: Path) -> Path:
    """The file of the counters."""
    return COUNTERS.path(database)


def open_counters(path: Path | None) -> SqliteCounters:
    """The counters in this file; None for some that are gone with the process. Raises ConfigurationError."""
    if path is None:
        return SqliteCounters(COUNTERS.in_memory(), None, None, lambda: None)
    _find_or_create(path)
    found = identity(path)

    def check() -> None:
        if identity(path) != found:
            raise CountersUnavailable(f"the counters {path} are no longer the file that was opened")

    with opening(path):
        connection = _connect(path)
        COUNTERS.bring_up(connection, path)
        connection.execute("SELECT id, name, used, calls FROM holders LIMIT 1").fetchone()
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
    make_private(path, f"The counters {path}", "Let this user write to them and their directory.")
    if marker.read() is None:
        marker.create(Mark(secrets.token_hex(16), 0))


def _connect(path: Path) -> sqlite3.Connection:
    connection = COUNTERS.connect(path)
    for pragma in (f"page_size = {_PAGE_BYTES}", "synchronous = NORMAL", "wal_autocheckpoint = 0"):
        connection.execute(f"PRAGMA {pragma}")
    return connection
