"""Compare two policies: which rows came, went or changed, and what that does to a restricted key.

*Widens* means that some restricted key may make a call that it could not make before; *narrows*, the reverse; both
can be true at once. The effect is read off the two tables, not off the rows alone: a new row with a literal segment
can take calls from an older one with a parameter, so every template is probed, and every meeting of two templates.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import combinations

from msgspec import Struct

from keyscope.model.body import BodyCondition
from keyscope.model.operation import Operation, Route, Table, overlap
from keyscope.model.scope import Grant
from keyscope.policy.document import Policy
from keyscope.policy.overlaps import sample, unify


class Sort(StrEnum):
    """What happened."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"
    MEETING = "meeting"
    """No row of this call changed, but others now take it, or no longer."""
    POLICY = "policy"
    """Something about the policy as a whole."""


class Effect(StrEnum):
    """What a change does to what some restricted key may do."""

    NONE = "none"
    WIDENS = "widens"
    NARROWS = "narrows"
    BOTH = "widens and narrows"


class Change(Struct, frozen=True):
    """One change. ``before`` and ``after`` are what the call needs, None where it is refused."""

    sort: Sort
    effect: Effect
    call: str
    before: tuple[str, ...] | None
    after: tuple[str, ...] | None
    members: tuple[str, ...] = ()
    """The members of the row that changed."""

    def __str__(self) -> str:
        members = f" ({', '.join(self.members)})" if self.members else ""
        return f"{self.sort}, {self.effect}: {self.call}{members}: {_words(self.before)} -> {_words(self.after)}"


class Diff(Struct, frozen=True):
    """All changes between two policies."""

    old: str
    new: str
    changes: tuple[Change, ...]

    @property
    def widens(self) -> bool:
        """Whether some restricted key may do more after it."""
        return any(change.effect in (Effect.WIDENS, Effect.BOTH) for change in self.changes)

    @property
    def narrows(self) -> bool:
        """Whether some restricted key may do less after it."""
        return any(change.effect in (Effect.NARROWS, Effect.BOTH) for change in self.changes)

    def lines(self) -> Iterator[str]:
        """The changes for people, and a last line that sums up."""
        yield from map(str, self.changes)
        widening = sum(change.effect in (Effect.WIDENS, Effect.BOTH) for change in self.changes)
        narrowing = sum(change.effect in (Effect.NARROWS, Effect.BOTH) for change in self.changes)
        yield f"{self.old} -> {self.new}: {len(self.changes)} changes, {widening} widen, {narrowing} narrow"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def diff(old: Policy, new: Policy) -> Diff:
    """What changed from ``old`` to ``new``, in the order of the calls' paths."""
    before, after = _rows(old), _rows(new)
    tables = old.table(), new.table()
    changes = [change for key in sorted({*before, *after}) for change in _row(key, before, after, tables)]
    meetings = _meetings({*before, *after}, tables)
    return Diff(old.name, new.name, (*_whole(old, new), *changes, *meetings))


_Key = tuple[tuple[str, ...], str]
_Tables = tuple[Table, Table]


def _rows(policy: Policy) -> dict[_Key, Operation]:
    return {(row.segments, row.method): row for row in policy.operations}


def _row(
    key: _Key, before: Mapping[_Key, Operation], after: Mapping[_Key, Operation], tables: _Tables
) -> Iterator[Change]:
    old, new = before.get(key), after.get(key)
    if old == new:
        return
    routes = _routes(key, tables)
    known = new or old
    yield Change(
        sort=Sort.CHANGED if old and new else Sort.ADDED if new else Sort.REMOVED,
        effect=effect(*routes),
        call=str(known),
        before=_shown(routes[0]),
        after=_shown(routes[1]),
        members=tuple(_members(old, new)) if old and new else (),
    )


def _members(old: Operation, new: Operation) -> Iterator[str]:
    for member in Operation.__struct_fields__:
        if getattr(old, member) != getattr(new, member):
            yield member


def _meetings(rows: set[_Key], tables: _Tables) -> Iterator[Change]:
    """Changes at paths that are no row's own: where two templates meet, or where a method's row is shadowed."""
    templates = sorted({segments for segments, _ in rows})
    met = {unify(one, other) for one, other in combinations(templates, 2) if overlap(one, other)}
    methods = sorted({method for _, method in rows})
    for key in ((segments, method) for segments in sorted({*templates, *met}) for method in methods):
        routes = _routes(key, tables)
        what = effect(*routes)
        if key not in rows and what is not Effect.NONE:
            yield Change(Sort.MEETING, what, f"{key[1]} {sample(key[0])}", _shown(routes[0]), _shown(routes[1]))


def _routes(key: _Key, tables: _Tables) -> tuple[Route | None, Route | None]:
    segments, method = key
    return tables[0].find(method, sample(segments)), tables[1].find(method, sample(segments))


def effect(old: Route | None, new: Route | None) -> Effect:
    """What it does to restricted keys that a call which was ``old`` is now ``new``; None is a refusal."""
    wider, narrower = not _as_strict(new, old), not _as_strict(old, new)
    if wider:
        return Effect.BOTH if narrower else Effect.WIDENS
    return Effect.NARROWS if narrower else Effect.NONE


def _as_strict(one: Route | None, other: Route | None) -> bool:
    """Whether every key and body that ``one`` lets through is let through by ``other`` too."""
    if one is None or other is None:
        return one is None
    floor = Grant(one.needs)
    return not floor.missing(other.needs) and all(
        floor.covers(condition.needs) or any(_implies(mine, condition) for mine in one.conditions)
        for condition in other.conditions
    )


def _implies(mine: BodyCondition, other: BodyCondition) -> bool:
    """Whether ``mine`` asks for as much whenever ``other`` triggers: its path is the same or leads there."""
    steps = mine.when.steps
    return other.when.steps[: len(steps)] == steps and Grant([mine.needs]).covers(other.needs)


def _whole(old: Policy, new: Policy) -> Iterator[Change]:
    if old.key_management != new.key_management:
        yield Change(
            Sort.POLICY,
            _managed(old.key_management, new.key_management),
            "key_management",
            (old.key_management,) if old.key_management else None,
            (new.key_management,) if new.key_management else None,
        )
    for name in sorted({*old.resource_names} ^ {*new.resource_names}):
        had, has = (_one(name, policy.resource_names) for policy in (old, new))
        yield Change(Sort.POLICY, Effect.NONE, f"resource type {name}", had, has)


def _managed(old: str | None, new: str | None) -> Effect:
    if old is None:
        return Effect.WIDENS
    return Effect.BOTH if new else Effect.NARROWS


def _one(name: str, names: Iterable[str]) -> tuple[str, ...] | None:
    return (name,) if name in names else None


def _shown(route: Route | None) -> tuple[str, ...] | None:
    if route is None:
        return None
    conditions = (f"{condition.needs} if {condition.when}" for condition in route.conditions)
    return (*map(str, route.needs), *conditions)


def _words(needs: tuple[str, ...] | None) -> str:
    if needs is None:
        return "refused"
    return ", ".join(needs) or "any live key"
