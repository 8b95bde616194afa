"""A look-up that asks PostgreSQL at every call: always fresh, and slow. Nodes read a replica of their own instead."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from keyscope.errors import StoreUnavailable
from keyscope.model.key import Lineage
from keyscope.store.postgres.pool import Pool
from keyscope.store.postgres.session import PostgresReader


class PostgresIndex:
    """For one thread. What was found is kept until somebody commits."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._seen: object = None
        self._lineages: dict[bytes | str, Lineage] = {}
        self._closed = False

    def find(self, digest: bytes) -> Lineage | None:
        """The key with this SHA-256 digest, with its ancestors. Sees every commit that was made before the call."""
        return self._kept(digest, lambda reader: reader.found_by(digest))

    def lineage(self, key_id: str) -> Lineage | None:
        """The key with this id, with its ancestors. Sees every commit that was made before the call."""
        return self._kept(key_id, lambda reader: reader.lineage(key_id))

    def derived_revoked(self, key_id: str, link_ids: Sequence[str]) -> bool:
        """Whether any of these links of keys derived from this one was revoked before the call."""
        self._check_open()
        return self._pool.read(lambda reader: reader.derived_revoked(key_id, link_ids))

    def has_bound(self, account_id: str, devbox_id: str) -> bool:
        """Whether keys are bound to the run of this devbox, and not revoked. As fresh as ``find``."""
        self._check_open()
        return self._pool.read(lambda reader: bool(reader.bound(account_id, devbox_id)))

    def stamp(self) -> object:
        """Something that differs after every commit by anybody."""
        self._check_open()
        return self._pool.read(lambda reader: reader.stamp())

    def release(self) -> None:
        """Nothing is held between two calls."""

    def close(self) -> None:
        self._lineages.clear()
        self._closed = True

    def _kept(self, name: bytes | str, load: Callable[[PostgresReader], Lineage | None]) -> Lineage | None:
        self._check_open()
        return self._pool.read(lambda reader: self._in_one_view(reader, name, load))

    def _in_one_view(
        self, reader: PostgresReader, name: bytes | str, load: Callable[[PostgresReader], Lineage | None]
    ) -> Lineage | None:
        stamp = reader.stamp()
        if stamp != self._seen:
            self._lineages.clear()
            self._seen = stamp
        found = self._lineages.get(name) or load(reader)
        if found is not None:
            self._lineages[name] = found
        return found

    def _check_open(self) -> None:
        if self._closed:
            raise StoreUnavailable("the index is closed")
