"""Open a store by its URL."""

from __future__ import annotations

from pathlib import Path

from keyscope.authority.ports import Store
from keyscope.store.memory import MemoryStore
from keyscope.store.sqlite import SqliteStore
from keyscope.store.trouble import unusable

MEMORY = "memory://"
SQLITE = "sqlite:///"
FORMS = "Write sqlite:///keyscope.db (a relative path), sqlite:////var/lib/keyscope.db (an absolute one) or memory://."


def open_store(url: str) -> Store:
    """The store at a URL. A SQLite file is created if there is none, and brought to the current schema.

    Raises ConfigurationError, with a sentence that says what is wrong and how to mend it.
    """
    if url == MEMORY:
        return MemoryStore()
    if url.startswith(SQLITE):
        return SqliteStore.open(sqlite_path(url))
    if url.partition(":")[0].partition("+")[0] in ("postgres", "postgresql"):
        raise unusable(f"PostgreSQL is not supported by this version of Keyscope. {FORMS}")
    raise unusable(f"The database URL has no form that Keyscope knows. {FORMS}")


def sqlite_path(url: str) -> Path:
    """The file of a ``sqlite:///`` URL. Raises ConfigurationError."""
    text = url.removeprefix(SQLITE)
    if not text or text.endswith("/"):
        raise unusable(f"The database URL names no file. {FORMS}")
    if text == ":memory:" or any(mark in text for mark in "?#\0"):
        raise unusable(f"The database URL takes a plain path: no ?, no #, no :memory:. {FORMS}")
    return Path(text)
