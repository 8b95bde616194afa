"""Finding keys for those who manage them: within the account, and within what the caller may reach.

Every look-up is by account: a key of another account does not exist for the caller.
"""

from __future__ import annotations

from msgspec import Struct

from keyscope.authority.bounds import check_in_tree
from keyscope.authority.ports import DeadUses, Reader, Writer
from keyscope.errors import DerivedKey, InvalidToken, NotFound, StandardKeyRequired
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.key import Key, Lineage, State
from keyscope.model.token import Kind

SHOWN = 100
"""How many of the keys that die together are named in an answer; all are counted."""


class Detail(Struct, frozen=True):
    """A key as described: with its ancestors, uses of dead secrets, and times in Unix milliseconds.

    ``leaked_at_ms`` is when a secret of it was last reported as leaked that had not been before.
    """

    lineage: Lineage
    last_used_at_ms: int | None
    dead_uses: DeadUses | None = None
    leaked_at_ms: int | None = None


def find(reader: Reader, account_id: str, kind: Kind, key_id: str) -> Lineage:
    """The key. Raises NotFound."""
    lineage = reader.lineage(key_id)
    # The account stands in every look-up, so that a foreign id and an unknown one get the same answer.
    if lineage is None or lineage.key.account_id != account_id or lineage.key.kind is not kind:
        raise NotFound(f"{kind} {key_id}")
    return lineage


def acting(reader: Reader, caller: Lineage, now_ms: int) -> Lineage:
    """The caller as it is inside this transaction.

    A revocation between the door and here must not leave anything behind. Raises InvalidToken if the caller is no
    longer active, and DerivedKey for a derived key: what it did would outlive its own revocation.
    """
    if caller.derived:
        raise DerivedKey(f"derived from {caller.key.id}")
    return living(reader, caller.key.id, now_ms)


def living(reader: Reader, key_id: str, now_ms: int) -> Lineage:
    """The key that calls, derived or not, as it is inside this transaction. Raises InvalidToken if it is not active."""
    found = reader.lineage(key_id)
    if found is None or found.state_at(now_ms) is not State.ACTIVE:
        raise InvalidToken("the caller is no longer active")
    return found


def acting_standard(reader: Reader, caller: Lineage, now_ms: int) -> Lineage:
    """The caller, who must hold a standard key. Raises StandardKeyRequired and as ``acting`` does."""
    actor = acting(reader, caller, now_ms)
    if not actor.key.is_standard:
        raise StandardKeyRequired(actor.key.id)
    return actor


def find_both(writer: Writer, caller: Lineage, kind: Kind, key_id: str, now_ms: int) -> tuple[Lineage, Lineage]:
    """The target and the caller. Raises NotFound, OutsideTree and as ``acting`` does."""
    actor = acting(writer, caller, now_ms)
    target = find(writer, actor.key.account_id, kind, key_id)
    check_in_tree(actor, target)
    return target, actor


def detail(reader: Reader, lineage: Lineage) -> Detail:
    key_id = lineage.key.id
    return Detail(lineage, reader.last_used_ms(key_id), reader.dead_uses(key_id), reader.leaked_ms(key_id))


def detail_of(reader: Reader, key: Key) -> Detail:
    """The key as it is stored now."""
    return detail(reader, find(reader, key.account_id, key.kind, key.id))


def key_event(kind: EventKind, key: Key, origin: Origin, at_ms: int, **changes: object) -> Event:
    """An event about a key."""
    return Event(kind=kind, at_ms=at_ms, account_id=key.account_id, key_id=key.id, origin=origin, changes=changes)
