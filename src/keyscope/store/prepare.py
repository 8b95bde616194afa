"""From a path to a database that may be used: found or created, ours, whole, current, and the one we knew.

Everything that is wrong is a ConfigurationError with a sentence that says how to mend it. An existing store that
vanished is an error, never a fresh start.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from keyscope.store import migrate
from keyscope.store.connect import OLDEST_SQLITE, Link, database_id, writing
from keyscope.store.marker import Mark, Marker, sync_directory
from keyscope.store.query import KEYS
from keyscope.store.trouble import opening, unusable

CHECKED_WHOLE_BELOW = 64 << 20
"""Bytes. A larger file is checked page by page as it is read: a million keys must open at once."""

_SCHEMA = (
    f"{KEYS} LIMIT 1",
    "SELECT id, account_id, kind, parent_id, name, scopes, created_at_ms, expires_at_ms FROM keys LIMIT 1",
    "SELECT suspended_at_ms, revoked_at_ms FROM keys LIMIT 1",
    "SELECT id, name, created_at_ms FROM accounts LIMIT 1",
    "SELECT number, kind, at_ms, account_id, key_id, chain, peer, request_id, changes FROM events LIMIT 1",
    "SELECT caller_id, request_id, request_digest, sealed, created_at_ms FROM replies LIMIT 1",
    "SELECT key_id, used_at_ms FROM key_usage LIMIT 1",
    "SELECT account_id, kind, total FROM key_totals LIMIT 1",
)


def prepare(path: Path, marker: Marker, busy_timeout_s: float) -> Link:
    """A writing connection to the database at the absolute path, after every check."""
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise unusable(f"This Python has SQLite {sqlite3.sqlite_version}; Keyscope needs 3.37 or newer.")
    mark = marker.read()
    _find_or_create(path, marker, mark)
    with opening(path):
        link = writing(path, busy_timeout_s)
        try:
            _bring_up(link.connection, path, marker, mark, busy_timeout_s)
        except BaseException:
            link.close()
            raise
    return link


def _find_or_create(path: Path, marker: Marker, mark: Mark | None) -> None:
    _check_directory(path)
    if path.exists():
        _check_file(path)
    elif mark is not None:
        raise unusable(
            f"The database {path} is gone, but its marker {marker.path} is there. {_restore_or_begin(marker)}"
        )
    else:
        _create(path)


def _check_directory(path: Path) -> None:
    directory = path.parent
    if not directory.is_dir():
        raise unusable(f"The directory {directory} does not exist. Create it, or name another database.")
    if not os.access(directory, os.R_OK | os.W_OK | os.X_OK):
        raise unusable(
            f"This user may not write to the directory {directory}, where SQLite must create files. Allow it."
        )


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise unusable(f"{path} is not a file. Name the file of the database.")
    if not os.access(path, os.R_OK):
        raise unusable(f"This user may not read the database {path}. Give the user read and write permission.")
    if not os.access(path, os.W_OK):
        raise unusable(f"The database {path} is read-only. Let this user write to it.")


def _create(path: Path) -> None:
    # Before SQLite does, for the mode: SQLite gives the -wal and -shm files the mode of the database.
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return  # another process was faster, and theirs is as good
    except OSError as error:
        raise unusable(f"The database {path} cannot be created: {error.strerror}. See to its directory.") from error
    sync_directory(path.parent)


def _bring_up(
    connection: sqlite3.Connection, path: Path, marker: Marker, mark: Mark | None, busy_timeout_s: float
) -> None:
    scripts = migrate.steps()
    migrate.check_ours(connection, path, known=len(scripts))
    if mark is not None and migrate.is_empty(connection):
        raise unusable(
            f"The database {path} is empty, but its marker {marker.path} is there. {_restore_or_begin(marker)}"
        )
    _check_whole(connection, path)
    migrate.write_ahead(connection, busy_timeout_s)
    migrate.migrate(connection, scripts)
    for statement in _SCHEMA:
        connection.execute(statement).fetchone()
    _check_writable(connection)
    newest = "the newest copy, with its -wal file"
    marker.hold(mark, _mark_of(connection, path), shown=path, newest=newest, remedy=_restore_or_begin(marker))


def _check_whole(connection: sqlite3.Connection, path: Path) -> None:
    if path.stat().st_size >= CHECKED_WHOLE_BELOW:
        return
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise unusable(f"The database {path} is damaged. Restore it from a backup.")


def _check_writable(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("ROLLBACK")


def _mark_of(connection: sqlite3.Connection, path: Path) -> Mark:
    own = database_id(connection)
    if own is None:
        raise unusable(f"The database {path} is damaged: it has lost its id. Restore it from a backup.")
    (events,) = connection.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()
    return Mark(own, events)


def _restore_or_begin(marker: Marker) -> str:
    return f"Restore the database file; or, to begin anew without its keys, delete {marker.path}."
