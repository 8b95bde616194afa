"""The narrowest scopes that would have served every recorded call of a key, and the proof: all of them judged again.

The proof is the gate's own judgement (model/decision.py), of the key and of each key below it, with the proposed scopes
in place of the present ones. The record says what each call needed; where today's policy asks for more, so does this.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from keyscope.authority.evidence import DAY_MS, MINTS, Evidence, Use
from keyscope.authority.least import narrowest
from keyscope.model.access import Access
from keyscope.model.decision import Allow, decide
from keyscope.model.key import Key, Lineage
from keyscope.model.operation import Operation, Route, strongest
from keyscope.model.scope import Grant, Level, Scope

Operations: TypeAlias = Mapping[str, Operation]
"""Today's policy, by operation id."""

ENOUGH_DAYS = 7
ENOUGH_CALLS = 100
_NAMED = 5


class Replay(Struct, frozen=True):
    """Every call judged again: how many, of how many kinds, and how many the proposed scopes would refuse."""

    calls: int
    kinds: int
    refused: int


class Used(Struct, frozen=True, kw_only=True):
    """One resource type: what the key has of it, what was used, and the calls that needed that much."""

    resource: str
    granted: Level
    used: Level
    calls: int
    last_ms: int | None
    operations: tuple[str, ...]


class Doubt(Struct, frozen=True):
    """A reason to think twice. ``code`` is stable."""

    code: str
    message: str


class Suggestion(Struct, frozen=True, kw_only=True):
    """``scopes`` in place of ``granted``. Times are Unix milliseconds. The key's expiry stays as it is."""

    key_id: str
    since_ms: int
    until_ms: int
    granted: tuple[Scope, ...]
    scopes: tuple[Scope, ...]
    used: tuple[Used, ...]
    replay: Replay
    doubts: tuple[Doubt, ...]

    @property
    def adds(self) -> tuple[Scope, ...]:
        """What the key does not have and was let through to while it was observed."""
        return Grant(self.granted).missing(self.scopes)


def suggest(evidence: Evidence, policy: Operations) -> Suggestion:
    """The suggestion for a key."""
    served = [use for use in (_today(use, policy) for use in evidence.uses) if use is not None]
    scopes = narrowest(use.needs for use in served)
    granted = evidence.subject.key.scopes
    return Suggestion(
        key_id=evidence.subject.key.id,
        since_ms=evidence.since_ms,
        until_ms=evidence.until_ms,
        granted=granted,
        scopes=scopes,
        used=tuple(_used(Grant(granted), Grant(scopes), served)),
        replay=replay(evidence, served, scopes, policy),
        doubts=tuple(_doubts(evidence, served)),
    )


def replay(evidence: Evidence, uses: list[Use], scopes: tuple[Scope, ...], policy: Operations) -> Replay:
    """Judge every call again, with these scopes for the key. Whether a key is dead by now does not matter."""
    subject = evidence.subject
    proposed = Lineage(_living(replace(subject.key, scopes=scopes)), _living_line(subject.parent))
    lines = {subject.key.id: proposed}
    refused = 0
    for use in uses:
        lineage = _line(use.key_id, evidence, lines)
        decision = decide(lineage, Access(_route(use.operation, policy), use.needs, evidence.until_ms))
        refused += 0 if isinstance(decision, Allow) else max(use.calls, 1)
    return Replay(sum(use.calls for use in uses), len(uses), refused)


def _line(key_id: str, evidence: Evidence, lines: dict[str, Lineage]) -> Lineage:
    """The key as a descendant of the proposed one."""
    if key_id not in lines:
        key = evidence.below[key_id]
        lines[key_id] = Lineage(_living(key), _line(key.parent_id or "", evidence, lines))
    return lines[key_id]


def _living_line(lineage: Lineage | None) -> Lineage | None:
    return Lineage(_living(lineage.key), _living_line(lineage.parent)) if lineage is not None else None


def _living(key: Key) -> Key:
    """The same scopes on a key that is good and not observed."""
    return replace(key, expires_at_ms=None, suspended_at_ms=None, revoked_at_ms=None, observe_until_ms=None)


def _today(use: Use, policy: Operations) -> Use | None:
    """The use with all that it needs by its record and by today's policy; None if that does not list it any more."""
    route = _route(use.operation, policy)
    return replace(use, needs=strongest((*use.needs, *route.needs))) if route is not None else None


def _route(name: str, policy: Operations) -> Route | None:
    rows = [policy.get(part) for part in name.split("+")]
    known: tuple[Operation, ...] = tuple(row for row in rows if row is not None)
    if len(known) != len(rows):
        return None
    return Route(known, strongest(scope for row in known for scope in row.needs), ())


def _used(granted: Grant, proposed: Grant, uses: list[Use]) -> Iterator[Used]:
    for resource in sorted({scope.resource for scope in (*granted, *proposed)}):
        level = proposed.level(resource)
        most = [use for use in uses if level and Scope(resource, level) in use.needs]
        yield Used(
            resource=resource,
            granted=granted.level(resource),
            used=level,
            calls=sum(use.calls for use in most),
            last_ms=max((use.last_ms for use in most), default=None),
            operations=tuple(dict.fromkeys(use.operation for use in most)),
        )


def _doubts(evidence: Evidence, served: list[Use]) -> Iterator[Doubt]:
    calls = sum(use.calls for use in served)
    days = (evidence.until_ms - evidence.since_ms) / DAY_MS
    if not calls:
        yield Doubt("no_calls", "No call of it is recorded in the period, so nothing is known of what it needs.")
    elif calls < ENOUGH_CALLS:
        yield Doubt("few_calls", f"Only {calls} calls are recorded in the period: what is rare may be missing.")
    if days < ENOUGH_DAYS:
        yield Doubt("short_period", f"The period is {days:.1f} days: what happens less often than that is missing.")
    once = sorted({use.operation for use in served if use.calls == 1})
    if once:
        yield Doubt("used_once", f"Called only once: {_named(once)}. Others as rare may not have come up yet.")
    gone = sorted({use.operation for use in evidence.uses} - {use.operation for use in served})
    if gone:
        yield Doubt("not_in_policy", f"Not in the policy any more, so no scope serves it: {_named(gone)}.")
    if evidence.refused:
        yield Doubt("refused_calls", f"{evidence.refused} calls were refused in the period, for lack of scopes.")
    if any(use.operation == MINTS for use in served):
        yield Doubt("mints_keys", "It mints keys: what it gave them counts as needed, whether they used it or not.")


def _named(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
