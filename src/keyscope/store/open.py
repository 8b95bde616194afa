"""Open a store by its URL."""

from __future__ import annotations

from pathlib import Path

from keyscope.authority.ports import Store
from keyscope.errors import ConfigurationError
from keyscope.store.memory import MemoryStore
from keyscope.store.postgres.address import is_postgres, parse
from keyscope.store.sqlite import SqliteStore
from keyscope.store.trouble import unusable

MEMORY = "memory://"
SQLITE = "sqlite:///"
FORMS = (
    "Write sqlite:///keyscope.db (a relative path), sqlite:////var/lib/keyscope.db (an absolute one),"
    " postgresql://USER@HOST:5432/DATABASE or memory://."
)


def open_store(url: str, beside: Path | None = None) -> Store:
    """The store at a URL. It is created if there is none, and brought to the current schema.

    A node remembers its PostgreSQL database in a file named after ``beside``. SQLite is remembered beside its own file.

    Raises ConfigurationError, with a sentence that says what is wrong and how to mend it.
    """
    if url == MEMORY:
        return MemoryStore()
    if url.startswith(SQLITE):
        return SqliteStore.open(sqlite_path(url))
    if is_postgres(url):
        from keyscope.store.postgres.store import PostgresStore  # it takes a while, and not all need it

        return PostgresStore.open(url, beside)
    raise _unknown()


def without_password(url: str) -> str:
    """The URL for people and logs."""
    return parse(url).shown if is_postgres(url) else url


def files_beside(url: str, replica: Path) -> Path | None:
    """The path after which local files are named (the trail is ``PATH.audit``); None for memory://, which has none.

    Raises ConfigurationError for what is no URL of a database.
    """
    if url == MEMORY:
        return None
    if is_postgres(url):
        return replica
    if url.startswith(SQLITE):
        return sqlite_path(url)
    raise _unknown()


def sqlite_path(url: str) -> Path:
    """The file of a ``sqlite:///`` URL. Raises ConfigurationError."""
    text = url.removeprefix(SQLITE)
    if not text or text.endswith("/"):
        raise unusable(f"The database URL names no file. {FORMS}")
    if text == ":memory:" or any(mark in text for mark in "?#\0"):
        raise unusable(f"The database URL takes a plain path: no ?, no #, no :memory:. {FORMS}")
    return Path(text)


def _unknown() -> ConfigurationError:
    return unusable(f"The database URL has no form that Keyscope knows. {FORMS}")
