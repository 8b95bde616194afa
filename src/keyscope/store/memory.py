"""The store in memory: the same contract, gone with the process. For tests and for trying things out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeVar

from keyscope.authority.ports import (
    Reader,
    Writer,
)
from keyscope.model.key import Lineage
from keyscope.store.memory_reader import Content, MemoryReader
from keyscope.store.memory_writer import MemoryWriter
from keyscope.store.things import SqliteThings, open_things

T = TypeVar("T")


class MemoryIndex:
    """A look-up that reads the store itself."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    def find(self, digest: bytes) -> Lineage | None:
        return self._store.find(digest)

    def lineage(self, key_id: str) -> Lineage | None:
        return self._store.read(lambda reader: reader.lineage(key_id))

    def derived_revoked(self, key_id: str, link_ids: Sequence[str]) -> bool:
        return self._store.read(lambda reader: reader.derived_revoked(key_id, link_ids))

    def has_bound(self, account_id: str, devbox_id: str) -> bool:
        return bool(self._store.read(lambda reader: reader.bound(account_id, devbox_id)))

    def stamp(self) -> object:
        return self._store.commits

    def release(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing to close."""


class MemoryStore:
    """One lock: reads and writes wait for each other."""

    def __init__(self) -> None:
        self._content = Content()
        self._lock = Lock()
        self.commits = 0

    def read(self, work: Callable[[Reader], T]) -> T:
        with self._lock:
            return work(MemoryReader(self._content))

    def write(self, work: Callable[[Writer], T]) -> T:
        with self._lock:
            writer = MemoryWriter(self._content)
            try:
                result = work(writer)
            except BaseException:
                writer.roll_back()
                raise
            self.commits += 1
            return result

    def find(self, digest: bytes) -> Lineage | None:
        with self._lock:
            return MemoryReader(self._content).find(digest)

    def open_index(self) -> MemoryIndex:
        return MemoryIndex(self)

    def open_things(self) -> SqliteThings:
        return open_things(None)

    def tidy(self) -> None:
        """Nothing piles up."""

    def check(self) -> None:
        """Memory is always there."""

    def close(self) -> None:
        """Nothing to close."""
