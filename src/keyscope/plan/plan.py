"""From calls to the narrowest scopes that serve all of them, each scope with the operations that need it.

The table that a gate judges by says what each call needs, so that what is planned here is what is asked for there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from msgspec import UNSET, Struct

from keyscope.authority.least import narrowest
from keyscope.model.operation import Operation, Route, Table
from keyscope.model.scope import Grant, Scope
from keyscope.plan.calls import Attempt
from keyscope.policy.overlaps import meeting, overlapping


class Reason(Struct, frozen=True):
    """An operation that needs a scope, and how many of the calls are of it."""

    operation: str
    call: str
    calls: int


class Need(Struct, frozen=True):
    """A scope, and why it is needed."""

    scope: Scope
    reasons: tuple[Reason, ...]


class Outside(Struct, frozen=True):
    """Calls that no scope serves."""

    call: str
    why: str
    calls: int


class Maybe(Struct, frozen=True):
    """A scope that a call may need as well: by a body that is not known, or if it is of a second operation too."""

    scope: Scope
    operation: str
    when: str


class Plan(Struct, frozen=True, kw_only=True):
    """``scopes`` serve all ``calls`` but those ``outside``; ``maybe`` are not in them."""

    calls: int
    scopes: tuple[Scope, ...]
    needs: tuple[Need, ...]
    outside: tuple[Outside, ...]
    maybe: tuple[Maybe, ...]


class _Placed(Struct, frozen=True):
    """A call and what the table makes of it."""

    route: Route
    needs: tuple[Scope, ...]
    maybe: tuple[Maybe, ...]


def plan(table: Table, attempts: Iterable[Attempt], *, cautious: bool = False) -> Plan:
    """Plan for the calls. ``cautious`` also grants what a call may need."""
    tried = list(attempts)
    looked_up = _LookUp(table)
    placed, outside = [], Counter[tuple[str, str]]()
    for one in tried:
        found = looked_up.find(one)
        if isinstance(found, _Placed):
            placed.append(found)
        else:
            outside[one.shown, found] += 1
    certain = [scope for found in placed for scope in found.needs]
    possible = [maybe.scope for found in placed for maybe in found.maybe] if cautious else []
    scopes = narrowest([certain, possible])
    return Plan(
        calls=len(tried),
        scopes=scopes,
        needs=tuple(Need(scope, tuple(_reasons(scope, placed))) for scope in scopes),
        outside=tuple(Outside(call, why, calls) for (call, why), calls in outside.items()),
        maybe=tuple(_beyond(Grant(scopes), placed)),
    )


class _LookUp:
    """Finds calls in a table, those by operation id too."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._ids = tuple(operation.id for operation in table)
        self._ties: dict[str, tuple[Maybe, ...]] | None = None

    def find(self, attempt: Attempt) -> _Placed | str:
        """The call's place in the table, or why it has none."""
        if attempt.refused:
            return attempt.refused
        if attempt.operation is not None:
            return self._by_id(attempt, attempt.operation)
        route = self._table.find(attempt.method, attempt.path)
        if route is None:
            return "not in the policy"
        return _placed(route, attempt)

    def _by_id(self, attempt: Attempt, name: str) -> _Placed | str:
        # A true tie has the ids of all its operations, as the audit writes it.
        rows = [self._table.by_id(part) for part in name.split("+")]
        known = tuple(row for row in rows if row is not None)
        if len(known) != len(rows):
            close = get_close_matches(name, self._ids, n=1)
            return "no operation of the policy has this id" + (f": did you mean {close[0]}?" if close else "")
        found = _placed(_together(known), attempt)
        return _Placed(found.route, found.needs, (*found.maybe, *(self._tied(known[0]) if len(known) == 1 else ())))

    def _tied(self, operation: Operation) -> tuple[Maybe, ...]:
        if self._ties is None:
            self._ties = _all_ties(self._table)
        return self._ties.get(operation.id, ())


def _together(rows: tuple[Operation, ...]) -> Route:
    needs = tuple(scope for row in rows for scope in row.needs)
    return Route(rows, needs, tuple(condition for row in rows for condition in row.body))


def _placed(route: Route, attempt: Attempt) -> _Placed:
    known = attempt.body is not UNSET
    needs = route.needs_with(attempt.body) if attempt.body is not UNSET else route.needs
    maybe = () if known else tuple(Maybe(c.needs, route.id, f"the body has {c.when}") for c in route.conditions)
    return _Placed(route, (*needs, *attempt.more), maybe)


def _all_ties(table: Table) -> dict[str, tuple[Maybe, ...]]:
    """For each operation what the calls need that match another one as well."""
    ties: dict[str, tuple[Maybe, ...]] = {}
    for one, other in overlapping(table):
        route = meeting(table, one, other)
        if route is not None and len(route.operations) > 1:
            for row, second in ((one, other), (other, one)):
                when = f"it matches {second.call} as well"
                ties[row.id] = (*ties.get(row.id, ()), *(Maybe(scope, row.id, when) for scope in route.needs))
    return ties


def _reasons(scope: Scope, placed: list[_Placed]) -> Iterator[Reason]:
    """The operations that need the scope at its level; with ``cautious`` those that may."""
    certain = [found.route for found in placed if scope in found.needs]
    routes = certain or [found.route for found in placed if any(maybe.scope == scope for maybe in found.maybe)]
    calls = {route.id: " + ".join(operation.call for operation in route.operations) for route in routes}
    return (Reason(name, calls[name], count) for name, count in Counter(route.id for route in routes).items())


def _beyond(grant: Grant, placed: list[_Placed]) -> Iterator[Maybe]:
    every = dict.fromkeys(maybe for found in placed for maybe in found.maybe)
    return (maybe for maybe in every if not grant.covers(maybe.scope))
