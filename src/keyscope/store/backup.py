"""Copy a whole authority while it is in use, and check a copy: database, trail, webhooks, counters, own things.

The copies are made by SQLite's online backup, in an order that lets them fit: whatever the trail and the webhooks know
of, the database knows, too; and what was spent of a key that it knows is counted.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from keyscope import __version__
from keyscope.store import counters_open, migrate, outbox, things, trail_open
from keyscope.store.archive import (
    CHECKPOINT,
    COUNTERS,
    DATABASE,
    FORMAT,
    KEYS,
    THINGS,
    TRAIL,
    WEBHOOKS,
    Manifest,
    folder_beside,
    member_of,
    pack,
)
from keyscope.store.connect import database_id
from keyscope.store.trouble import opening, unusable

_BESIDE = {TRAIL: trail_open.TRAIL, WEBHOOKS: outbox.OUTBOX, COUNTERS: counters_open.COUNTERS, THINGS: things.THINGS}


def back_up(database: Path, target: Path, keys: Path | None, now_ms: int) -> Manifest:
    """Write a backup of the database and of what lies beside it to a new file, while it is in use or not.

    ``keys`` is a new file for the two keys. Raises ConfigurationError.
    """
    database = database.resolve()
    if not database.exists():
        raise unusable(f"There is no database at {database}. Name it with --database.")
    for new in filter(None, (target, keys)):
        if new.exists():
            raise unusable(f"{new} exists, and a backup never overwrites one. Name another file.")
    with folder_beside(target) as folder:
        _copy(beside(database, CHECKPOINT), folder / CHECKPOINT)
        for name in (TRAIL, WEBHOOKS, DATABASE, COUNTERS, THINGS):
            if beside(database, name).exists():
                copy_database(beside(database, name), folder / name)
        made = _manifest(folder, now_ms)
        pack(folder, made, target)
    if keys is not None:
        with folder_beside(keys) as folder:
            for name in KEYS:
                _copy(beside(database, name), folder / name)
            pack(folder, None, keys)
    return made


def check_whole(path: Path, name: str) -> None:
    """Raise ConfigurationError unless SQLite finds nothing wrong with one of a backup's databases, and it is ours."""
    with opening(path), closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as connection:
        _check_ours(connection, path, name)
        (finding,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if finding != "ok":
        raise unusable(f"{name} in the backup is damaged: {finding}. Take another backup.")


def _check_ours(connection: sqlite3.Connection, path: Path, name: str) -> None:
    if name == DATABASE:
        migrate.check_ours(connection, path, len(migrate.steps()))
    else:
        _BESIDE[name].check_ours(connection, path)


def beside(database: Path, name: str) -> Path:
    """The file that stands under this name in a backup."""
    return database.with_name(database.name + name.removeprefix(DATABASE))


def copy_database(source: Path, target: Path) -> None:
    """Copy one of the databases, while it is in use or not, to a new file with the name that it has in a backup."""
    os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    with (
        opening(source),
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=rw", uri=True)) as reading,
        closing(sqlite3.connect(target)) as writing,
    ):
        _check_ours(reading, source, target.name)
        reading.backup(writing)
        writing.execute("PRAGMA journal_mode = DELETE")  # one file, which needs no others to be read


def _copy(source: Path, target: Path) -> None:
    if source.exists():
        shutil.copyfile(source, target)
        target.chmod(0o600)


def _manifest(folder: Path, now_ms: int) -> Manifest:
    with closing(sqlite3.connect(folder / DATABASE)) as connection:
        own = database_id(connection)
        (events,) = connection.execute("SELECT coalesce(max(number), 0) FROM events").fetchone()
    files = {path.name: member_of(path) for path in sorted(folder.iterdir())}
    return Manifest(
        format=FORMAT, version=__version__, made_at_ms=now_ms, database_id=own or "", events=events, files=files
    )
