"""Keys that their holders derived offline: found by the secret that they came from, checked link by link.

A verified key is remembered together with the root it was verified against. While nothing is committed the index gives
the same root for the same digest, so the memory is as fresh as the index itself.
"""

from __future__ import annotations

import re
from hashlib import sha256

from keyscope.authority.lookup import acting, find_both, key_event
from keyscope.authority.ports import Clock, Index, Store, Writer
from keyscope.errors import BadRequest, Fault
from keyscope.model.derived import bounds_of, narrowing, parse_derived, verify_derived
from keyscope.model.event import EventKind, Origin
from keyscope.model.key import REVOKED_ALONE_MS, Key, Lineage
from keyscope.model.operation import Table
from keyscope.model.restriction.calls import METHODS
from keyscope.model.token import Kind
from keyscope.policy.restricting import unknown_names

MOST_KEPT = 16_384
"""Derived keys remembered at once; when there are more, all are forgotten. About 1 KiB each."""


_LINK_ID = re.compile(r"drv_[0-9A-Za-z]{22}", re.ASCII)


class DerivedKeys:
    """For one thread, like the index that it reads."""

    def __init__(self, index: Index, table: Table) -> None:
        self._root = index.find
        self._operations = frozenset(operation.id for operation in table) | frozenset(METHODS)
        self._types = frozenset(scope.resource for operation in table for scope in operation.needs)
        self._revoked = index.derived_revoked
        self._kept: dict[bytes, tuple[bytes, Lineage, Lineage]] = {}

    def find(self, text: bytes) -> Lineage | None:
        """The key that a derived key's text shows, in whatever state; None if it is not sound, or of no key."""
        mark = sha256(text).digest()
        kept = self._kept.get(mark)
        if kept is not None and self._root(kept[0]) is kept[1]:
            return kept[2]
        return self._verify(text, mark)

    def _verify(self, text: bytes, mark: bytes) -> Lineage | None:
        try:
            derived = parse_derived(text)
        except ValueError:
            return None
        root = self._root(derived.digest)
        links = verify_derived(derived, root.key.share) if root is not None and root.key.share is not None else None
        if root is None or links is None:
            return None
        bounds = bounds_of(derived, links)
        if any(True for bound in bounds for _ in unknown_names(bound.restrictions, self._types, self._operations)):
            return None  # it would restrict nothing (law 1)
        grant, ends_at_ms = narrowing(derived)
        if self._revoked(root.key.id, links):
            ends_at_ms = REVOKED_ALONE_MS
        found = root.narrowed(links, grant, ends_at_ms, bounds)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[mark] = (derived.digest, root, found)
        return found


class Derivation:
    """Ends derived keys alone, before their expiry."""

    def __init__(self, store: Store, clock: Clock, barred: set[str]) -> None:
        self._store = store
        self._clock = clock
        self._barred = barred

    def revoke(
        self, caller: Lineage, kind: Kind, key_id: str, link_id: str, reason: str | None, origin: Origin
    ) -> None:
        """Revoke the key with this link id that was derived from ``key_id``, and all that was derived from it.

        Whether such a key was ever derived the server cannot know, so any well-formed id is taken. Raises
        BadRequest for one that is not, NotFound (no such key), OutsideTree, DerivedKey and StoreUnavailable.
        """
        if not _LINK_ID.fullmatch(link_id):
            fault = Fault("derived_id", "the id of a derived key is drv_ and 22 letters and digits")
            raise BadRequest("link id", [fault])

        def work(writer: Writer) -> None:
            now_ms = self._clock.now_ms()
            target, _ = find_both(writer, caller, kind, key_id, now_ms)
            revoke_link(writer, target.key, link_id, reason, origin, now_ms)

        self._store.write(work)

    def revoke_self(self, caller: Lineage, reason: str | None, origin: Origin) -> str:
        """Revoke the derived key that calls, and return its id. Raises InvalidToken and StoreUnavailable."""
        link_id = caller.derived[-1]

        def work(writer: Writer) -> None:
            now_ms = self._clock.now_ms()
            root = acting(writer, Lineage(caller.key, caller.parent), now_ms)
            revoke_link(writer, root.key, link_id, reason, origin, now_ms)

        self._barred.add(link_id)  # from now on, whatever the store does
        self._store.write(work)
        self._barred.discard(link_id)
        return link_id


def revoke_link(writer: Writer, key: Key, link_id: str, reason: str | None, origin: Origin, now_ms: int) -> bool:
    """Revoke a link inside a transaction. False if it was revoked before, and stays as it is."""
    if writer.derived_revoked(key.id, [link_id]):
        return False
    writer.revoke_derived(key.id, link_id, now_ms)
    changes = {"derived_id": link_id, "reason": reason}
    writer.add_event(key_event(EventKind.DERIVED_KEY_REVOKED, key, origin, now_ms, **changes))
    return True
