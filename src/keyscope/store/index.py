"""The look-up that the hot path reads: digest to lineage, straight from the database file, never stale.

What was read is kept only as long as nobody commits. The stamp is taken *before* a row is read, so a commit that races
with the reading makes the next ``find`` read again; and it is looked at once more *after*, so that a lineage is never
put together from the parts of two states.

While nobody commits, look-ups share one read transaction, which spares each of them the locks (2.5 of 7 µs). It is
begun only after some look-ups without a commit, and given up by ``release``, which the server calls every second:
an open read transaction keeps SQLite from starting the WAL anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from keyscope.errors import StoreUnavailable
from keyscope.model.key import Key, Lineage
from keyscope.store.line import lineage
from keyscope.store.query import (
    ANY_DERIVED_REVOKED,
    DERIVED_REVOKED,
    FORMER_BY_DIGEST,
    HAS_BOUND,
    KEY_BY_DIGEST,
    KEY_BY_ID,
)
from keyscope.store.rows import as_found_by, former_of, key_of
from keyscope.store.trouble import TROUBLE, unavailable

K = TypeVar("K", bytes, str)

MOST_KEPT = 65_536
"""Lineages kept at once; when there are more, all are forgotten. About 1 KiB each."""


QUIET_LOOK_UPS = 256
"""So many look-ups without a commit, and the next ones share a read transaction."""


class SqliteIndex:
    """For one thread. ``stamp`` returns something that differs after every commit by anybody else.

    ``may_hold`` says whether it also does so while a read transaction is open.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        stamp: Callable[[], object],
        on_close: Callable[[], None],
        *,
        may_hold: bool,
    ) -> None:
        self._connection = connection
        self._stamp = stamp
        self._on_close = on_close
        self._seen: object = None
        self._lineages: dict[bytes, Lineage] = {}
        self._parents: dict[str, Lineage] = {}
        self._by_id: dict[str, Lineage] = {}
        self._may_hold = may_hold
        self._quiet = 0
        self._none_revoked: bool | None = None

    def find(self, digest: bytes) -> Lineage | None:
        """The key with this SHA-256 digest, with its ancestors. Sees every commit that was made before the call."""
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._start_anew(stamp)
            return self._lineages.get(digest) or self._look_up(self._lineages, self._load, digest)
        except TROUBLE as error:
            raise unavailable(error) from error

    def lineage(self, key_id: str) -> Lineage | None:
        """The key with this id, with its ancestors. Sees every commit that was made before the call."""
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._start_anew(stamp)
            return self._by_id.get(key_id) or self._look_up(self._by_id, self._load_by_id, key_id)
        except TROUBLE as error:
            raise unavailable(error) from error

    def derived_revoked(self, key_id: str, link_ids: Sequence[str]) -> bool:
        """Whether any of these links of keys derived from this one was revoked before the call."""
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._start_anew(stamp)
            if self._none_revoked is None:
                self._none_revoked = self._connection.execute(ANY_DERIVED_REVOKED).fetchone() is None
            if self._none_revoked:
                return False
            asked = ((key_id, link_id) for link_id in link_ids)
            found = (self._connection.execute(DERIVED_REVOKED, link).fetchone() for link in asked)
            return any(row is not None for row in found)
        except TROUBLE as error:
            raise unavailable(error) from error

    def has_bound(self, account_id: str, devbox_id: str) -> bool:
        """Whether any key is bound to the devbox and not revoked on its own. Sees every commit before the call."""
        try:
            stamp = self._stamp()
            if stamp != self._seen:
                self._start_anew(stamp)
            return self._connection.execute(HAS_BOUND, (account_id, devbox_id)).fetchone() is not None
        except TROUBLE as error:
            raise unavailable(error) from error

    def stamp(self) -> object:
        """Something that differs after every commit by anybody."""
        try:
            return self._stamp()
        except TROUBLE as error:
            raise unavailable(error) from error

    def release(self) -> None:
        """End the read transaction, if one is open. What is remembered stays, for it is as good as its stamp."""
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            self._quiet = 0
        except TROUBLE as error:
            raise unavailable(error) from error

    def close(self) -> None:
        self._start_anew(None)
        self._stamp = _closed
        self._on_close()

    def _start_anew(self, stamp: object) -> None:
        self.release()
        self._forget()
        self._seen = stamp

    def _look_up(self, kept: dict[K, Lineage], load: Callable[[K], Lineage | None], name: K) -> Lineage | None:
        self._quiet += 1
        if self._quiet == QUIET_LOOK_UPS and self._may_hold:
            self._connection.execute("BEGIN")
        lineage = load(name)
        if self._stamp() != self._seen:
            return self._load_in_one_view(load, name)
        if lineage is not None:
            if len(kept) >= MOST_KEPT:
                self._forget()
            kept[name] = lineage
        return lineage

    def _load(self, digest: bytes) -> Lineage | None:
        row = self._connection.execute(KEY_BY_DIGEST, (digest,)).fetchone()
        if row is None:
            return self._load_former(digest)
        key = key_of(row[0])
        if key.digest != digest:
            raise StoreUnavailable("the index of digests is damaged: it leads to another key")
        return self._with_ancestors(key)

    def _load_by_id(self, key_id: str) -> Lineage | None:
        key = self._key(key_id)
        if key is None:
            return None
        if key.id != key_id:
            raise StoreUnavailable("the index of ids is damaged: it leads to another key")
        return self._with_ancestors(key)

    def _load_former(self, digest: bytes) -> Lineage | None:
        row = self._connection.execute(FORMER_BY_DIGEST, (digest,)).fetchone()
        if row is None:
            return None
        former = former_of(row[0])
        key = self._key(former.key_id)
        if key is None or former.digest != digest:
            raise StoreUnavailable("the record of an earlier secret is damaged: it leads to no key, or another one")
        return self._with_ancestors(as_found_by(former, key))

    def _with_ancestors(self, key: Key) -> Lineage:
        return Lineage(key, self._parent(key) if key.parent_id is not None else None)

    def _parent(self, key: Key) -> Lineage | None:
        parent_id = key.parent_id or ""
        known = self._parents.get(parent_id)
        if known is None:
            known = lineage(key, self._key).parent
            if known is not None:
                self._parents[parent_id] = known
        return known

    def _key(self, key_id: str) -> Key | None:
        row = self._connection.execute(KEY_BY_ID, (key_id,)).fetchone()
        return key_of(row[0]) if row is not None else None

    def _load_in_one_view(self, load: Callable[[K], Lineage | None], name: K) -> Lineage | None:
        self._start_anew(None)
        self._connection.execute("BEGIN")
        try:
            return load(name)
        finally:
            self._start_anew(None)

    def _forget(self) -> None:
        self._none_revoked = None
        self._lineages.clear()
        self._parents.clear()
        self._by_id.clear()


def _closed() -> object:
    raise StoreUnavailable("the index is closed")


def data_version(connection: sqlite3.Connection) -> Callable[[], object]:
    """The slower stamp (2.5 µs), for where the WAL-index cannot be mapped."""
    return lambda: connection.execute("PRAGMA data_version").fetchone()[0]
