"""What can be done to a key after it was minted: describe, list, update, suspend, resume, revoke, undelete.

A change and its event are one transaction, and so are the check that allows it and the change itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from keyscope.authority.bounds import (
    check_expiry,
    check_in_tree,
    check_restrictions,
    check_scopes,
    check_tightened,
)
from keyscope.authority.limits import Limits
from keyscope.authority.lookup import (
    SHOWN,
    Detail,
    acting_standard,
    detail,
    detail_of,
    find,
    find_both,
    key_event,
)
from keyscope.authority.ports import Clock, KeyPage, KeyQuery, Reader, Store, Writer
from keyscope.authority.rules import check_changed, from_json
from keyscope.errors import BadRequest, DerivedKey, Fault, NotFound, Refused
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.key import Key, Lineage, State
from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Scope
from keyscope.model.token import Kind

T = TypeVar("T")


class Change(Struct, frozen=True, kw_only=True):
    """What to change; what is UNSET stays. ``expires_at_ms`` is Unix milliseconds, None for never.

    ``restrictions`` replaces all of them; None takes them away.
    """

    name: str | UnsetType = UNSET
    scopes: tuple[Scope, ...] | UnsetType = UNSET
    expires_at_ms: int | UnsetType | None = UNSET
    restrictions: Restrictions | UnsetType | None = UNSET


class Revoked(Struct, frozen=True):
    """A revoked key, and the still living keys below it that died with it: how many, and the first of their ids."""

    detail: Detail
    died: int
    died_ids: tuple[str, ...]


class Lifecycle:
    """Describes and changes keys. ``barred`` is shared with the verifier of this process."""

    def __init__(self, store: Store, clock: Clock, barred: set[str], limits: Limits | None = None) -> None:
        self._store = store
        self._clock = clock
        self._barred = barred
        self._limits = limits or Limits()

    def describe(self, account_id: str, kind: Kind, key_id: str) -> Detail:
        """Raises NotFound."""
        return self._store.read(lambda reader: detail(reader, find(reader, account_id, kind, key_id)))

    def list(self, query: KeyQuery) -> tuple[KeyPage, tuple[Detail, ...]]:
        """One page of keys, newest first, each described."""

        def work(reader: Reader) -> tuple[KeyPage, tuple[Detail, ...]]:
            page = reader.keys(query)
            return page, tuple(detail(reader, lineage) for lineage in page.items)

        return self._store.read(work)

    def update(self, caller: Lineage, kind: Kind, key_id: str, change: Change, origin: Origin) -> Detail:
        """Rename, change scopes or restrictions, shorten or extend.

        Raises NotFound, BadRequest, ExceedsParent, OutsideTree.
        """

        def work(writer: Writer) -> Detail:
            now_ms = self._clock.now_ms()
            target, actor = find_both(writer, caller, kind, key_id, now_ms)
            check_changeable(target, now_ms)
            check_bounds(actor, target, writer, change)
            check_rules(writer, target.key, change)
            changed = apply(target.key, change)
            if changed != target.key:
                writer.replace_key(changed)
                writer.add_event(updated(target.key, changed, origin, now_ms))
            return detail_of(writer, changed)

        return self._store.write(work)

    def suspend(self, caller: Lineage, kind: Kind, key_id: str, reason: str | None, origin: Origin) -> Detail:
        """Stop a key, and with it everything below it, until it is resumed. Doing it twice changes nothing.

        Raises NotFound, OutsideTree, and BadRequest for a key that is revoked or expired.
        """

        def work(writer: Writer) -> Detail:
            now_ms = self._clock.now_ms()
            target, _ = find_both(writer, caller, kind, key_id, now_ms)
            check_changeable(target, now_ms)
            if target.key.suspended_at_ms is None:
                suspend(writer, target.key, reason, origin, now_ms)
            return detail_of(writer, target.key)

        return self._denying_first(caller, kind, key_id, work)

    def resume(self, caller: Lineage, kind: Kind, key_id: str, origin: Origin) -> Detail:
        """End a suspension. Only a standard key may: whoever stopped a key had a reason.

        Raises NotFound, StandardKeyRequired, and BadRequest for a key that is revoked or expired.
        """

        def work(writer: Writer) -> Detail:
            now_ms = self._clock.now_ms()
            actor = acting_standard(writer, caller, now_ms)
            target = find(writer, actor.key.account_id, kind, key_id)
            _check_own_life(target.key, now_ms)
            if target.key.suspended_at_ms is not None:
                writer.replace_key(replace(target.key, suspended_at_ms=None, resumed_at_ms=now_ms))
                writer.add_event(key_event(EventKind.KEY_RESUMED, target.key, origin, now_ms))
            return detail_of(writer, target.key)

        return self._store.write(work)

    def revoke(self, caller: Lineage, kind: Kind, key_id: str, reason: str | None, origin: Origin) -> Revoked:
        """Revoke a key and with it everything below it. Once this returns, no gate on this store accepts them.

        This process refuses the key from the first moment on, and goes on refusing if the store then fails: the
        caller hears StoreUnavailable, and nothing was let through meanwhile. Revoking twice changes nothing.
        """

        def work(writer: Writer) -> Revoked:
            now_ms = self._clock.now_ms()
            target, _ = find_both(writer, caller, kind, key_id, now_ms)
            return _end(writer, target.key, reason, origin, now_ms)

        return self._denying_first(caller, kind, key_id, work)

    def undelete(self, caller: Lineage, kind: Kind, key_id: str, origin: Origin) -> Detail:
        """Bring back a revoked key, and what died with it, within the window that the settings allow.

        What was revoked on its own below it stays revoked. Raises NotFound, StandardKeyRequired and BadRequest.
        """

        def work(writer: Writer) -> Detail:
            now_ms = self._clock.now_ms()
            actor = acting_standard(writer, caller, now_ms)
            key = find(writer, actor.key.account_id, kind, key_id).key
            if key.revoked_at_ms is not None:
                self._check_window(key, now_ms)
                writer.replace_key(_undeleted(key, now_ms))
                writer.add_event(key_event(EventKind.KEY_UNDELETED, key, origin, now_ms, reason=key.revoked_reason))
            return detail_of(writer, key)

        return self._store.write(work)

    def _check_window(self, key: Key, now_ms: int) -> None:
        window_ms = self._limits.undelete_window_ms
        if key.revoked_at_ms is not None and now_ms - key.revoked_at_ms >= window_ms:
            fault = Fault("$", f"it was revoked more than {window_ms // 1000} s ago and stays so: mint a new one")
            raise BadRequest("too late", [fault])

    def _denying_first(self, caller: Lineage, kind: Kind, key_id: str, work: Callable[[Writer], T]) -> T:
        """Refuse the key in this process from now on, whatever the store does; unless the caller may not do this."""
        if caller.derived:
            raise DerivedKey(caller.key.id)
        target = self._store.read(lambda reader: find(reader, caller.key.account_id, kind, key_id))
        check_in_tree(caller, target)
        self._barred.add(key_id)
        try:
            done = self._store.write(work)
        except (Refused, NotFound, BadRequest):
            self._barred.discard(key_id)
            raise
        self._barred.discard(key_id)
        return done


def _end(writer: Writer, key: Key, reason: str | None, origin: Origin, now_ms: int) -> Revoked:
    below = [lower for lower in writer.descendants(key.id) if lower.state_at(now_ms) is not State.REVOKED]
    if key.revoked_at_ms is None:
        revoke(writer, key, reason, origin, now_ms, len(below))
    ids = tuple(lower.id for lower in below[:SHOWN])
    return Revoked(detail_of(writer, key), len(below), ids)


def revoke(writer: Writer, key: Key, reason: str | None, origin: Origin, now_ms: int, died: int) -> None:
    """Revoke a key inside a transaction. ``died`` is how many living keys below it die with it, for the record."""
    writer.replace_key(replace(key, revoked_at_ms=now_ms, revoked_reason=reason))
    writer.add_event(key_event(EventKind.KEY_REVOKED, key, origin, now_ms, reason=reason, died_with_it=died))


def suspend(writer: Writer, key: Key, reason: str | None, origin: Origin, now_ms: int) -> None:
    """Suspend a key inside a transaction."""
    writer.replace_key(replace(key, suspended_at_ms=now_ms))
    writer.add_event(key_event(EventKind.KEY_SUSPENDED, key, origin, now_ms, reason=reason))


def _undeleted(key: Key, now_ms: int) -> Key:
    """Alive again; a lease begins anew, or the key would be dead at once."""
    run = key.run.renewed(now_ms) if key.run is not None else None
    return replace(key, revoked_at_ms=None, revoked_reason=None, resumed_at_ms=now_ms, run=run)


def check_changeable(target: Lineage, now_ms: int) -> None:
    """Raise BadRequest for a key that is revoked or expired, or that descends from one."""
    state = target.state_at(now_ms)
    if state in (State.REVOKED, State.EXPIRED):
        raise BadRequest(f"{state} key", [Fault("$", f"the key is {state} and stays so: mint a new one")])


def _check_own_life(key: Key, now_ms: int) -> None:
    # The states of the ancestors do not matter here: a key may be resumed before its parent is.
    if key.state_at(now_ms) in (State.REVOKED, State.EXPIRED):
        check_changeable(Lineage(key), now_ms)


def check_bounds(actor: Lineage, target: Lineage, reader: Reader, change: Change) -> None:
    """Raise ExceedsParent unless the changed key stays within the caller and within its own parent (law 2)."""
    above = [actor]
    if target.key.parent_id is not None:
        parent = reader.lineage(target.key.parent_id)
        above += [parent] if parent is not None else []
    for lineage in above:
        if change.scopes is not UNSET:
            check_scopes(change.scopes, lineage)
        if change.expires_at_ms is not UNSET:
            check_expiry(change.expires_at_ms, lineage)
    if change.restrictions is not UNSET:
        if not actor.key.is_standard:
            check_tightened(change.restrictions, target.key)
        if target.parent is not None:
            check_restrictions(change.restrictions, target.parent)


def check_rules(reader: Reader, key: Key, change: Change) -> None:
    """Raise RuleViolation unless the account's rules allow the change."""
    rules = from_json(reader.rules(key.account_id))
    name = None if change.name is UNSET else change.name
    scopes = None if change.scopes is UNSET else change.scopes
    expiry = None if change.expires_at_ms is UNSET else (change.expires_at_ms,)
    check_changed(rules, key.kind, key.created_at_ms, name, scopes, expiry)


def apply(key: Key, change: Change) -> Key:
    """The key as changed. New scopes end the offer to take an earlier narrowing back."""
    if change.name is not UNSET:
        key = replace(key, name=change.name)
    if change.scopes is not UNSET:
        key = replace(key, scopes=change.scopes, narrowed_at_ms=None, narrowed_from=None)
    if change.expires_at_ms is not UNSET:
        key = replace(key, expires_at_ms=change.expires_at_ms)
    if change.restrictions is not UNSET:
        key = replace(key, restrictions=change.restrictions)
    return key


_TOLD = ("name", "scopes", "expires_at_ms", "observe_until_ms", "restrictions")


def updated(old: Key, new: Key, origin: Origin, now_ms: int, **more: object) -> Event:
    """The event of a change: each member that differs, before and after."""
    changes: dict[str, object] = dict(more)
    for name in _TOLD:
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            changes[name] = {"from": _plain(before), "to": _plain(after)}
    return key_event(EventKind.KEY_UPDATED, new, origin, now_ms, **changes)


def _plain(value: object) -> object:
    if isinstance(value, Restrictions):
        return value.plain
    return [str(scope) for scope in value] if isinstance(value, tuple) else value
