"""What can be done to a key after it was minted: describe, list, update, revoke.

Every look-up is by account: a key of another account does not exist for the caller. A change and its event are one
transaction, and so are the check that allows it and the change itself.
"""

from __future__ import annotations

from msgspec import UNSET, Struct, UnsetType
from msgspec.structs import replace

from keyscope.authority.bounds import check_expiry, check_in_tree, check_scopes
from keyscope.authority.ports import Clock, KeyPage, KeyQuery, Reader, Store, Writer
from keyscope.errors import BadRequest, Fault, InvalidToken, NotFound, Refused
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.key import Key, Lineage, State
from keyscope.model.scope import Scope
from keyscope.model.token import Kind

SHOWN = 100
"""How many of the keys that die with a revoked one are named in the answer; all are counted."""


class Change(Struct, frozen=True, kw_only=True):
    """What to change; what is UNSET stays. ``expires_at_ms`` is Unix milliseconds, None for never."""

    name: str | UnsetType = UNSET
    scopes: tuple[Scope, ...] | UnsetType = UNSET
    expires_at_ms: int | UnsetType | None = UNSET


class Detail(Struct, frozen=True):
    """A key as described: with its ancestors, and when it was last used (Unix milliseconds)."""

    lineage: Lineage
    last_used_at_ms: int | None


class Revoked(Struct, frozen=True):
    """A revoked key, and the still living keys below it that died with it: how many, and the first of their ids."""

    detail: Detail
    died: int
    died_ids: tuple[str, ...]


class Lifecycle:
    """Describes and changes keys. ``barred`` is shared with the verifier of this process."""

    def __init__(self, store: Store, clock: Clock, barred: set[str]) -> None:
        self._store = store
        self._clock = clock
        self._barred = barred

    def describe(self, account_id: str, kind: Kind, key_id: str) -> Detail:
        """Raises NotFound."""
        return self._store.read(lambda reader: _detail(reader, _find(reader, account_id, kind, key_id)))

    def list(self, query: KeyQuery) -> tuple[KeyPage, tuple[Detail, ...]]:
        """One page of keys, newest first, each described."""

        def work(reader: Reader) -> tuple[KeyPage, tuple[Detail, ...]]:
            page = reader.keys(query)
            return page, tuple(_detail(reader, lineage) for lineage in page.items)

        return self._store.read(work)

    def update(self, caller: Lineage, kind: Kind, key_id: str, change: Change, origin: Origin) -> Detail:
        """Rename, change scopes, shorten or extend. Raises NotFound, BadRequest, ExceedsParent, OutsideTree."""

        def work(writer: Writer) -> Detail:
            now_ms = self._clock.now_ms()
            target, actor = _find_both(writer, caller, kind, key_id, now_ms)
            _check_alive(target, now_ms)
            _check_bounds(actor, target, writer, change)
            changed = _apply(target.key, change)
            if changed != target.key:
                writer.replace_key(changed)
                writer.add_event(_updated(target.key, changed, origin, now_ms))
            return _detail(writer, _find(writer, changed.account_id, kind, key_id))

        return self._store.write(work)

    def revoke(self, caller: Lineage, kind: Kind, key_id: str, reason: str | None, origin: Origin) -> Revoked:
        """Revoke a key and with it everything below it. Once this returns, no gate on this store accepts them.

        This process refuses the key from the first moment on, and goes on refusing if the store then fails: the
        caller hears StoreUnavailable, and nothing was let through meanwhile. Revoking twice changes nothing.
        """
        account_id = caller.key.account_id
        target = self._store.read(lambda reader: _find(reader, account_id, kind, key_id))
        check_in_tree(caller, target)
        self._barred.add(key_id)
        try:
            revoked = self._store.write(lambda writer: self._revoke(writer, caller, kind, key_id, reason, origin))
        except (Refused, NotFound):
            self._barred.discard(key_id)
            raise
        self._barred.discard(key_id)
        return revoked

    def _revoke(
        self, writer: Writer, caller: Lineage, kind: Kind, key_id: str, reason: str | None, origin: Origin
    ) -> Revoked:
        now_ms = self._clock.now_ms()
        target, _ = _find_both(writer, caller, kind, key_id, now_ms)
        below = [key for key in writer.descendants(key_id) if key.state_at(now_ms) is not State.REVOKED]
        key = target.key
        if key.revoked_at_ms is None:
            key = replace(key, revoked_at_ms=now_ms, revoked_reason=reason)
            writer.replace_key(key)
            writer.add_event(_revoked(key, len(below), origin, now_ms))
        ids = tuple(descendant.id for descendant in below[:SHOWN])
        return Revoked(_detail(writer, _find(writer, key.account_id, kind, key_id)), len(below), ids)


def _find(reader: Reader, account_id: str, kind: Kind, key_id: str) -> Lineage:
    lineage = reader.lineage(key_id)
    # The account stands in every look-up, so that a foreign id and an unknown one get the same answer.
    if lineage is None or lineage.key.account_id != account_id or lineage.key.kind is not kind:
        raise NotFound(f"{kind} {key_id}")
    return lineage


def _find_both(writer: Writer, caller: Lineage, kind: Kind, key_id: str, now_ms: int) -> tuple[Lineage, Lineage]:
    """The target, and the caller as it is inside this transaction."""
    actor = writer.lineage(caller.key.id)
    if actor is None or actor.state_at(now_ms) is not State.ACTIVE:
        raise InvalidToken("the caller is no longer active")
    target = _find(writer, actor.key.account_id, kind, key_id)
    check_in_tree(actor, target)
    return target, actor


def _detail(reader: Reader, lineage: Lineage) -> Detail:
    return Detail(lineage, reader.last_used_ms(lineage.key.id))


def _check_alive(target: Lineage, now_ms: int) -> None:
    state = target.state_at(now_ms)
    if state in (State.REVOKED, State.EXPIRED):
        raise BadRequest(f"{state} key", [Fault("$", f"the key is {state} and stays so: mint a new one")])


def _check_bounds(actor: Lineage, target: Lineage, reader: Reader, change: Change) -> None:
    above = [actor]
    if target.key.parent_id is not None:
        parent = reader.lineage(target.key.parent_id)
        above += [parent] if parent is not None else []
    for lineage in above:
        if change.scopes is not UNSET:
            check_scopes(change.scopes, lineage)
        if change.expires_at_ms is not UNSET:
            check_expiry(change.expires_at_ms, lineage)


def _apply(key: Key, change: Change) -> Key:
    if change.name is not UNSET:
        key = replace(key, name=change.name)
    if change.scopes is not UNSET:
        key = replace(key, scopes=change.scopes)
    if change.expires_at_ms is not UNSET:
        key = replace(key, expires_at_ms=change.expires_at_ms)
    return key


def _updated(old: Key, new: Key, origin: Origin, now_ms: int) -> Event:
    changes: dict[str, object] = {}
    for name in ("name", "scopes", "expires_at_ms"):
        before, after = getattr(old, name), getattr(new, name)
        if before != after:
            changes[name] = {"from": _plain(before), "to": _plain(after)}
    return Event(
        kind=EventKind.KEY_UPDATED,
        at_ms=now_ms,
        account_id=new.account_id,
        key_id=new.id,
        origin=origin,
        changes=changes,
    )


def _revoked(key: Key, died: int, origin: Origin, now_ms: int) -> Event:
    return Event(
        kind=EventKind.KEY_REVOKED,
        at_ms=now_ms,
        account_id=key.account_id,
        key_id=key.id,
        origin=origin,
        changes={"reason": key.revoked_reason, "died_with_it": died},
    )


def _plain(value: object) -> object:
    return [str(scope) for scope in value] if isinstance(value, tuple) else value
