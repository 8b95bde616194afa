"""After a restore: what was taken away since the backup, and how it is taken away again.

A restored database knows nothing of what came later, so a key that was ended, stopped or narrowed since would be as it
was. Only what takes away is done again. What was given since (a wider scope, a resumption) is not, because the present
holder of the database has to want it anew. Where it is not known what a change did to a key, the key is suspended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from keyscope.authority.derivation import revoke_link
from keyscope.authority.lifecycle import revoke, suspend, updated
from keyscope.authority.ports import Reader, Writer
from keyscope.model.event import EventKind, Origin
from keyscope.model.key import Key, State
from keyscope.model.restrictions import InvalidRestrictions, Restrictions
from keyscope.model.scope import Grant, Scope
from keyscope.model.tightness import loosened

SYSTEM = Origin()
_TAKES_NOTHING = frozenset(
    {
        EventKind.KEY_MINTED,
        EventKind.KEY_DEAD_USED,
        EventKind.KEY_RENEWED,
        EventKind.HOLD_CREATED,
        EventKind.HOLD_APPROVED,
        EventKind.HOLD_REFUSED,
        EventKind.HOLD_ENDED,
        EventKind.KEY_LEAK_REPORTED,  # what a report ended has an event of its own
    }
)
_APPLIED = {"name", "scopes", "expires_at_ms", "observe_until_ms", "restrictions"}
"""The members of an update that are understood here."""
_NOTED = {"reason", "narrowed", "reverted"}
_ROTATED = "its secret was rotated after the backup, so that its holder has one that this database does not know"
_SPENT = "it has a number of uses, and how many were spent after the backup is not known"
_UNKNOWN = "it was changed after the backup in a way that cannot be done again"


class Later(Struct, frozen=True, kw_only=True):
    """A change that the backup does not hold. ``kind`` is a text, because a newer version may have written it."""

    number: int
    kind: str
    at_ms: int
    account_id: str | None = None
    key_id: str | None = None
    changes: dict[str, Any] = {}


def last_change(reader: Reader) -> Later | None:
    """The newest change that a store has."""
    found = reader.changes(after=max(0, reader.last_number() - 1), limit=1)
    if not found:
        return None
    event = found[0].event
    return Later(
        number=found[0].number,
        kind=event.kind.value,
        at_ms=event.at_ms,
        account_id=event.account_id,
        key_id=event.key_id,
        changes=event.changes,
    )


class Taken(Struct, frozen=True):
    """What was taken away from one key, all changes together. ``derived`` are ids of links that were revoked alone."""

    key_id: str
    revoked: Later | None = None
    suspended: Later | None = None
    updated: dict[str, Any] = {}
    """The members that were updated, as they were at the end."""
    derived: tuple[str, ...] = ()
    stop: str | None = None
    """Why it has to be suspended, whatever else."""


def taken_away(later: Iterable[Later]) -> list[Taken]:
    """By key, in the order of the first change of each. ``later`` is in the order in which it happened."""
    found: dict[str, Taken] = {}
    for change in later:
        if change.key_id is not None and change.kind not in _TAKES_NOTHING:
            found[change.key_id] = _with(found.get(change.key_id, Taken(change.key_id)), change)
    return list(found.values())


def with_uncounted(reader: Reader, taken: Iterable[Taken]) -> list[Taken]:
    """The same, and each key with a number of uses to be suspended: what it has spent since is not known."""
    found = {one.key_id: one for one in taken}
    for line in reader.lineages():
        if line.key.restrictions is not None and line.key.restrictions.uses is not None:
            found[line.key.id] = replace(found.get(line.key.id, Taken(line.key.id)), stop=_SPENT)
    return list(found.values())


def _with(taken: Taken, change: Later) -> Taken:
    match change.kind:
        case EventKind.KEY_REVOKED:
            return replace(taken, revoked=change)
        case EventKind.KEY_UNDELETED:
            return replace(taken, revoked=None)
        case EventKind.KEY_SUSPENDED:
            return replace(taken, suspended=change)
        case EventKind.KEY_RESUMED:
            return replace(taken, suspended=None)
        case EventKind.KEY_ROTATED:
            return replace(taken, stop=_ROTATED)
        case EventKind.DERIVED_KEY_REVOKED:
            return replace(taken, derived=(*taken.derived, str(change.changes.get("derived_id"))))
        case EventKind.KEY_UPDATED if set(change.changes) <= _APPLIED | _NOTED:
            members = {name: change.changes[name]["to"] for name in _APPLIED & set(change.changes)}
            return replace(taken, updated={**taken.updated, **members})
        case _:
            return replace(taken, stop=_UNKNOWN)


def still_held(reader: Reader, taken: Iterable[Taken], now_ms: int) -> list[tuple[Key, Taken]]:
    """Those whose key the restored database holds, and gives more to than it had."""
    pairs = ((reader.key(one.key_id), one) for one in taken)
    return [(key, one) for key, one in pairs if key is not None and _differs(reader, key, one, now_ms)]


def told_of(key: Key, taken: Taken) -> str:
    """What is done to the key, in words."""
    if taken.revoked is not None:
        return "revoked"
    narrowed = ["narrowed"] if set(taken.updated) - {"name"} else []
    derived = [f"{len(taken.derived)} derived keys of it revoked"] if taken.derived else []
    stopped = ["suspended"] if _why_stopped(key, taken) else []
    return ", ".join([*narrowed, *derived, *stopped])


def _differs(reader: Reader, key: Key, taken: Taken, now_ms: int) -> bool:
    if key.state_at(now_ms) in (State.REVOKED, State.EXPIRED):
        return False
    stops = _why_stopped(key, taken) is not None and key.suspended_at_ms is None
    derived = any(not reader.derived_revoked(key.id, [link]) for link in taken.derived)
    return bool(taken.revoked or derived or stops or _narrowed(key, taken.updated) != key)


def _why_stopped(key: Key, taken: Taken) -> str | None:
    """Why the key is to be suspended, if it is."""
    if taken.suspended is not None:
        return _again(taken.suspended)
    if taken.stop is None and "restrictions" in taken.updated:
        return None if _tighter(key, taken.updated["restrictions"]) is not None else _UNKNOWN
    return taken.stop


def take_away_again(writer: Writer, taken: Iterable[Taken], now_ms: int) -> int:
    """Do it, each with an event of its own. Returns how many keys were changed."""
    held = still_held(writer, taken, now_ms)
    for key, one in held:
        _take(writer, key, one, now_ms)
    return len(held)


def _take(writer: Writer, key: Key, taken: Taken, now_ms: int) -> None:
    if taken.revoked is not None:
        living = [low for low in writer.descendants(key.id) if low.state_at(now_ms) is not State.REVOKED]
        return revoke(writer, key, _again(taken.revoked), SYSTEM, now_ms, len(living))
    for link in taken.derived:
        revoke_link(writer, key, link, "again after a restore", SYSTEM, now_ms)
    less = _narrowed(key, taken.updated)
    if less != key:
        writer.replace_key(less)
        writer.add_event(updated(key, less, SYSTEM, now_ms, reason="again after a restore"))
    stops = _why_stopped(key, taken)
    if stops is not None and less.suspended_at_ms is None:
        suspend(writer, less, stops, SYSTEM, now_ms)
    return None


def _narrowed(key: Key, updated: Mapping[str, Any]) -> Key:
    """The key with what updates took from it: never more scopes, never longer."""
    if "scopes" in updated:
        met = Grant(key.scopes).meet(Grant(map(Scope.parse, updated["scopes"])))
        if met != Grant(key.scopes):
            key = replace(key, scopes=met.scopes(), narrowed_at_ms=None, narrowed_from=None)
    expires = updated.get("expires_at_ms")
    if expires is not None:
        key = replace(key, expires_at_ms=min(expires, key.expires_at_ms or expires))
    if "observe_until_ms" in updated and key.observe_until_ms is not None:
        observed = updated["observe_until_ms"]
        key = replace(key, observe_until_ms=min(observed, key.observe_until_ms) if observed else None)
    if "restrictions" in updated:
        key = _tighter(key, updated["restrictions"]) or key
    return key


def _tighter(key: Key, plain: Any) -> Key | None:
    """The key with the tighter of its restrictions and those that it had. None if neither is, or one is not known."""
    try:
        had = Restrictions.parse(plain) if plain is not None else None
    except InvalidRestrictions:
        return None
    if not any(loosened(had, key.restrictions, key.id)):
        return replace(key, restrictions=had)
    return key if not any(loosened(key.restrictions, had, key.id)) else None


def _again(change: Later) -> str:
    reason = change.changes.get("reason")
    return f"again after a restore: {reason}" if reason else "again after a restore"
