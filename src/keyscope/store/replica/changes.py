"""What a replica takes from the record: what is in the tables that an index reads, as it is stored."""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class StoredKey(NamedTuple):
    """``record`` is the whole key (store/rows.py)."""

    id: str
    digest: bytes
    record: bytes
    parent_id: str | None


class StoredFormer(NamedTuple):
    """An earlier secret."""

    digest: bytes
    key_id: str
    record: bytes


class RevokedLink(NamedTuple):
    """A link of derived keys that was revoked alone."""

    key_id: str
    link_id: str


class StoredRun(NamedTuple):
    """A key that is bound to a devbox, as long as it is not revoked."""

    key_id: str
    account_id: str
    devbox_id: str


class Changes(Struct, frozen=True):
    """Everything that was committed after a number: what it touched, as it is at the last of ``numbers``."""

    numbers: tuple[int, ...] = ()
    keys: tuple[StoredKey, ...] = ()
    formers: tuple[StoredFormer, ...] = ()
    links: tuple[RevokedLink, ...] = ()
    runs: tuple[StoredRun, ...] = ()

    def follow(self, number: int) -> bool:
        """Whether they are those that come next, with none left out."""
        return self.numbers == tuple(range(number + 1, number + 1 + len(self.numbers)))
