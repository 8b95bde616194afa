"""Trouble in two kinds: at opening it is a ConfigurationError with a remedy, at run time StoreUnavailable (law 7)."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from keyscope.errors import ConfigurationError, Fault, StoreUnavailable

TROUBLE = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite raises. Its words may quote a damaged schema, and then Python cannot even read the complaint."""

_RESTORE = "Restore it from a backup."


def unusable(sentence: str) -> ConfigurationError:
    """A database that Keyscope cannot start with; the sentence says why and what to do."""
    return ConfigurationError(sentence, [Fault("database", sentence)])


@contextmanager
def closing_the_gate() -> Iterator[None]:
    """While running, whatever SQLite has to complain of means that the store cannot be used now."""
    try:
        yield
    except TROUBLE as error:
        raise unavailable(error) from error


def unavailable(error: Exception) -> StoreUnavailable:
    """The detail is for the log: SQLite's words and its code."""
    return StoreUnavailable(f"{error} ({getattr(error, 'sqlite_errorname', 'no code')})")


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """While opening, every complaint of SQLite's becomes a sentence about this file."""
    try:
        yield
    except TROUBLE as error:
        raise unusable(_sentence(path, error)) from error


def _sentence(path: Path, error: Exception) -> str:
    primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if primary in _SENTENCES:
        return _SENTENCES[primary].format(path=path)
    # Without a known code the damage shows as a schema that does not parse or lacks what it should have.
    return f"The database {path} cannot be used and may be damaged: {_RESTORE} SQLite says: {error}"


_SENTENCES = {
    sqlite3.SQLITE_BUSY: "The database {path} is locked by another program. Stop that program, then start again.",
    sqlite3.SQLITE_LOCKED: "The database {path} is locked by another program. Stop that program, then start again.",
    sqlite3.SQLITE_READONLY: "The database {path} is read-only. Let this user write to the file and its directory.",
    sqlite3.SQLITE_PERM: "This user may not open the database {path}. Give the user read and write permission.",
    sqlite3.SQLITE_CANTOPEN: "The database {path} cannot be opened. See that this user may write to its directory.",
    sqlite3.SQLITE_FULL: "The disk of the database {path} is full. Free some space, then start again.",
    sqlite3.SQLITE_IOERR: "Reading or writing the database {path} failed. See to the disk: is it full or failing?",
    sqlite3.SQLITE_CORRUPT: "The database {path} is damaged. " + _RESTORE,
    sqlite3.SQLITE_NOTADB: "The file {path} is not a SQLite database. Name another file, or restore this one.",
}
