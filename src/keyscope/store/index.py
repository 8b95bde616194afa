"""The look-up that the hot path reads: digest to lineage, straight from the database file, never stale.

What was read is kept only as long as nobody commits. The stamp is taken *before* a row is read, so a commit that races
with the reading makes the next ``find`` read again; and it is looked at once more *after*, so that a lineage is never
put together from the parts of two states.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from keyscope.errors import StoreUnavailable
from keyscope.model.key import Key, Lineage
from keyscope.store.line import ancestors
from keyscope.store.query import KEY_BY_DIGEST, KEY_BY_ID
from keyscope.store.rows import key_of
from keyscope.store.trouble import TROUBLE, unavailable

MOST_KEPT = 65_536
"""Lineages kept at once; when there are more, all are forgotten. About 1 KiB each."""


class SqliteIndex:
    """For one thread. ``stamp`` returns something that differs after every commit by anybody else."""

    def __init__(
        self, connection: sqlite3.Connection, stamp: Callable[[], object], on_close: Callable[[], None]
    ) -> None:
        self._connection = connection
        self._stamp = stamp
        self._on_close = on_close
        self._seen: object = None
        self._lineages: dict[bytes, Lineage] = {}
        self._keys: dict[str, Key] = {}

    def find(self, digest: bytes) -> Lineage | None:
        """The key with this SHA-256 digest, with its ancestors. Sees every commit that was made before the call."""
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._forget()
                self._seen = stamp
            return self._lineages.get(digest) or self._look_up(digest)
        except TROUBLE as error:
            raise unavailable(error) from error

    def close(self) -> None:
        self._forget()
        self._stamp = _closed
        self._on_close()

    def _look_up(self, digest: bytes) -> Lineage | None:
        lineage = self._load(digest)
        if self._stamp() != self._seen:
            return self._load_in_one_view(digest)
        if lineage is not None:
            if len(self._lineages) >= MOST_KEPT:
                self._forget()
            self._lineages[digest] = lineage
        return lineage

    def _load(self, digest: bytes) -> Lineage | None:
        row = self._connection.execute(KEY_BY_DIGEST, (digest,)).fetchone()
        if row is None:
            return None
        key = key_of(row[0])
        if key.digest != digest:
            raise StoreUnavailable("the index of digests is damaged: it leads to another key")
        return Lineage(key, ancestors(key, self._ancestor) if key.parent_id is not None else ())

    def _ancestor(self, key_id: str) -> Key | None:
        known = self._keys.get(key_id)
        if known is not None:
            return known
        row = self._connection.execute(KEY_BY_ID, (key_id,)).fetchone()
        if row is None:
            return None
        key = self._keys[key_id] = key_of(row[0])
        return key

    def _load_in_one_view(self, digest: bytes) -> Lineage | None:
        self._forget()
        self._connection.execute("BEGIN")
        try:
            return self._load(digest)
        finally:
            self._connection.execute("ROLLBACK")
            self._forget()

    def _forget(self) -> None:
        self._seen = None
        self._lineages.clear()
        self._keys.clear()


def _closed() -> object:
    raise StoreUnavailable("the index is closed")


def data_version(connection: sqlite3.Connection) -> Callable[[], object]:
    """The slower stamp (2.5 µs), for where the WAL-index cannot be mapped."""
    return lambda: connection.execute("PRAGMA data_version").fetchone()[0]
