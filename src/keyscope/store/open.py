"""Open a store by its URL."""

from __future__ import annotations

from pathlib import Path

from keyscope.authority.ports import Store
from keyscope.store.memory import MemoryStore
from keyscope.store.postgres.address import is_postgres, parse
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.sqlite import SqliteStore
from keyscope.store.trouble import unusable

SQLITE = "sqlite:///"
NODE = "node"
"""What the local files of a node are named after, in its directory of state."""

FORMS = (
    "Write sqlite:///keyscope.db (a relative path), sqlite:////var/lib/keyscope.db (an absolute one),"
    " postgresql://USER@HOST:5432/DATABASE or memory://."
)


def open_store(url: str, state: Path | None = None) -> Store:
    """The store at a URL. It is created if there is none, and brought to the current schema.

    ``state`` is where this node remembers a PostgreSQL database; SQLite is remembered beside its file.

    Raises ConfigurationError, with a sentence that says what is wrong and how to mend it.
    """
    if url == "memory://":
        return MemoryStore()
    if url.startswith(SQLITE):
        return SqliteStore.open(sqlite_path(url))
    if is_postgres(url):
        return PostgresStore.open(url, state)
    raise unusable(f"The database URL has no form that Keyscope knows. {FORMS}")


def shown(url: str) -> str:
    """The URL for people and logs: without a password."""
    return parse(url).shown if is_postgres(url) else url


def files_beside(url: str, state: Path) -> Path | None:
    """The path after which a database's local files are named (its trail is ``PATH.audit``); None for memory://."""
    if url == "memory://":
        return None
    return state / NODE if is_postgres(url) else sqlite_path(url)


def sqlite_path(url: str) -> Path:
    """The file of a ``sqlite:///`` URL. Raises ConfigurationError."""
    text = url.removeprefix(SQLITE)
    if not text or text.endswith("/"):
        raise unusable(f"The database URL names no file. {FORMS}")
    if text == ":memory:" or any(mark in text for mark in "?#\0"):
        raise unusable(f"The database URL takes a plain path: no ?, no #, no :memory:. {FORMS}")
    return Path(text)
