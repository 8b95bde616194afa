"""Numbered steps from an empty file to the schema of this version, one transaction each.

``PRAGMA user_version`` is the number of the last step applied, and ``PRAGMA application_id`` says that the file is
ours. Both are part of the step's transaction. Steps that were released are never edited: add another one.

A step expands: it adds, and leaves what the version before reads and writes as it is. Such a step says so, by writing
the number of the step that a program must know at least into ``meta`` as ``needs_step``; then nodes one version apart
work on one database, and an older one also starts on it. A step that says nothing shuts older programs out. What is
used no longer may be contracted, by a step that says nothing, in the version after the next.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path

from keyscope.store.transaction import transaction
from keyscope.store.trouble import unusable

APPLICATION_ID = 0x4B657953
"""“KeyS”."""

_PAUSE_S = 0.01
"""Between two tries at what SQLite does not wait for."""


def steps(name: str = "migrations") -> tuple[str, ...]:
    """The scripts of a folder in order; step n is at n - 1."""
    folder = files("keyscope.store") / name
    scripts = sorted((file for file in folder.iterdir() if file.name.endswith(".sql")), key=lambda file: file.name)
    return tuple(script.read_text(encoding="utf-8") for script in scripts)


def version(connection: sqlite3.Connection) -> int:
    """The number of the last step that the file has seen; 0 for an empty file."""
    number: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return number


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file holds nothing at all."""
    (objects,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return objects == 0 and _application(connection) == 0 and version(connection) == 0


def check_ours(connection: sqlite3.Connection, path: Path, known: int, application: int = APPLICATION_ID) -> None:
    """Refuse the database of another program, and one of a newer Keyscope."""
    if is_empty(connection):
        return
    if _application(connection) != application:
        raise unusable(f"The file {path} is a SQLite database, but not Keyscope's. Name another file.")
    found = version(connection)
    if found > known:
        refuse_newer(path, found, _least(connection), known)


def refuse_newer(shown: object, found: int, least: str | None, known: int) -> None:
    """Raise ConfigurationError for a database that has seen a step which a program must know and this one does not.

    ``least`` is what the database says of that, None if nothing: then it is the last step, ``found``.
    """
    needed = int(least) if least is not None and least.isdigit() else found
    if needed > known:
        raise unusable(
            f"The database {shown} has schema version {found}; this Keyscope knows versions up to {known}."
            " Upgrade Keyscope, or restore a backup from before the database was upgraded."
        )


def _least(connection: sqlite3.Connection) -> str | None:
    if connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'meta'").fetchone() is None:
        return None
    row = connection.execute("SELECT value FROM meta WHERE name = 'needs_step'").fetchone()
    return row[0] if row is not None else None


def migrate(connection: sqlite3.Connection, scripts: Sequence[str], application: int = APPLICATION_ID) -> None:
    """Apply the steps that the file has not seen."""
    for number, script in enumerate(scripts, start=1):
        if version(connection) < number:
            _apply(connection, number, script, application)


def write_ahead(connection: sqlite3.Connection, busy_timeout_s: float) -> None:
    """Let readers never wait for a writer (WAL). Stays with the file."""
    # SQLite does not wait here as it does elsewhere: it gives up at once while another process does the same.
    end_s = time.monotonic() + busy_timeout_s
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= end_s:
                raise
        time.sleep(_PAUSE_S)


def _apply(connection: sqlite3.Connection, number: int, script: str, application: int) -> None:
    with transaction(connection):
        # Another process may have applied the step while this one waited for the lock.
        if version(connection) < number:
            if _least(connection) is not None:
                # What an earlier step said of itself does not hold for this one.
                connection.execute("DELETE FROM meta WHERE name = 'needs_step'")
            for statement in _statements(script):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {application}")
            connection.execute(f"PRAGMA user_version = {number}")


def _statements(script: str) -> Iterator[str]:
    # Not executescript: it commits first, and would break the step's one transaction in two.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError("a migration ends in the middle of a statement")


def _application(connection: sqlite3.Connection) -> int:
    number: int = connection.execute("PRAGMA application_id").fetchone()[0]
    return number
