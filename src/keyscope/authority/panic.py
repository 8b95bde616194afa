"""Panic: end many keys at once, chosen by what they have in common. All of them or, if the store fails, none."""

from __future__ import annotations

from msgspec import Struct

from keyscope.authority.lifecycle import revoke
from keyscope.authority.lookup import SHOWN, acting_standard
from keyscope.authority.ports import Clock, Reader, Selector, Store, Writer
from keyscope.errors import NotFound
from keyscope.model.event import Origin
from keyscope.model.key import Key, Lineage, State


class Ended(Struct, frozen=True):
    """The keys revoked, or to be revoked: how many, and the first of them; ``died`` counts the living ones below."""

    count: int
    keys: tuple[Key, ...]
    died: int


class Panic:
    """Ends keys by selector, for the holder of a standard key."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def end(
        self,
        caller: Lineage,
        selector: Selector | str,
        reason: str | None,
        origin: Origin,
        *,
        dry_run: bool,
    ) -> Ended:
        """Revoke what a selector means, or, given a key id, that key with everything below it.

        The caller's own key and those above it are left out, so that a selector never ends its user. With ``dry_run``
        nothing changes. Raises StandardKeyRequired, NotFound (no such key id) and StoreUnavailable.
        """

        def work(writer: Writer) -> Ended:
            now_ms = self._clock.now_ms()
            actor = acting_standard(writer, caller, now_ms)
            chosen = [key for key in _chosen(writer, actor, selector) if key.id not in actor.ids]
            below = _living_below(writer, chosen, now_ms)
            if not dry_run:
                for key in chosen:
                    revoke(writer, key, reason, origin, now_ms, died=below)
            return Ended(len(chosen), tuple(chosen[:SHOWN]), below)

        return self._store.write(work)


def _chosen(reader: Reader, actor: Lineage, selector: Selector | str) -> list[Key]:
    if isinstance(selector, Selector):
        return reader.selected(actor.key.account_id, selector)
    key = reader.key(selector)
    if key is None or key.account_id != actor.key.account_id:
        raise NotFound(selector)
    return [key] if key.revoked_at_ms is None else []


def _living_below(reader: Reader, chosen: list[Key], now_ms: int) -> int:
    """The living keys that would die with the chosen ones without being chosen themselves."""
    own = {key.id for key in chosen}
    below: dict[str, Key] = {}
    for key in chosen:
        # What stands below another chosen key is counted from there.
        if key.parent_id not in own and key.id not in below:
            below.update((lower.id, lower) for lower in reader.descendants(key.id))
    return sum(key.id not in own and key.state_at(now_ms) is not State.REVOKED for key in below.values())
