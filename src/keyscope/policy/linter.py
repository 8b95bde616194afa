"""What to think of before a key is minted: combinations that open more than they seem to, scopes that lack
another, and scopes of no use.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Grant, Level, Scope
from keyscope.policy.document import Policy


class Remark(Struct, frozen=True):
    """One remark about a set of scopes. ``code`` is stable; ``scopes`` are those that it is about."""

    code: str
    message: str
    scopes: tuple[Scope, ...]


def remarks(policy: Policy, scopes: tuple[Scope, ...], restrictions: Restrictions | None = None) -> tuple[Remark, ...]:
    """Every remark about these scopes and restrictions, the policy's cautions first."""
    grant = Grant(scopes)
    found = [Remark(caution.code, caution.why, caution.when) for caution in policy.cautions if caution.holds(grant)]
    more = _idle(policy, grant, restrictions) if restrictions is not None else ()
    return (*found, *_prerequisites(policy, scopes, grant), *_useless(policy, scopes), *more)


def _idle(policy: Policy, grant: Grant, restrictions: Restrictions) -> Iterator[Remark]:
    """Restrictions that cannot matter, or that leave nothing."""
    instances, own = restrictions.instances, restrictions.own
    for resource in instances.types if instances is not None else ():
        if grant.level(resource) is Level.NONE:
            message = f"The key reaches no {resource}, so which ones it is limited to does not matter."
            yield Remark("idle_restriction", message, ())
        elif own is not None and own.limits(resource):
            message = f"Limited to certain {resource}, the key makes none; with own it reaches only earlier ones."
            yield Remark("idle_restriction", message, ())
    for name in restrictions.deny.names if restrictions.deny is not None else ():
        rows = [row for row in policy.operations if name in (row.id, row.method)]
        if all(grant.missing(row.needs) for row in rows):
            yield Remark("idle_restriction", f"The scopes cover no call of {name}, so to deny it changes nothing.", ())
    if restrictions.cidrs is not None and any(text.endswith("/0") for text in restrictions.cidrs.texts):
        yield Remark("idle_restriction", "A network of all addresses keeps nobody out.", ())


def _prerequisites(policy: Policy, scopes: tuple[Scope, ...], grant: Grant) -> Iterator[Remark]:
    """Scopes that part of their operations cannot be called with, for want of another.

    An operation belongs to the scope that its row names first.
    """
    for scope in scopes:
        wanting: dict[tuple[Scope, ...], list[str]] = {}
        for row in policy.operations:
            missing = grant.missing(row.needs) if row.needs[:1] == (scope,) else ()
            if missing:
                wanting.setdefault(missing, []).append(row.id)
        for missing, ids in wanting.items():
            names = " and ".join(map(str, missing))
            more = f" and {len(ids) - 1} more need" if len(ids) > 1 else " needs"
            message = f"{ids[0]}{more} {names} beside {scope}, so this key cannot call that"
            yield Remark("prerequisite", message, (scope, *missing))


def _useless(policy: Policy, scopes: tuple[Scope, ...]) -> Iterator[Remark]:
    asked = _asked(policy)
    if not scopes:
        yield Remark("no_scopes", "A key without scopes may only describe and end itself.", ())
    for scope in scopes:
        if scope.level is Level.NONE:
            yield Remark("names_nothing", f"{scope} gives nothing; leaving it out says the same.", (scope,))
        elif scope not in asked:
            yield Remark("useless", f"No operation asks for {scope}.{_enough(scope, asked)}", (scope,))


def _asked(policy: Policy) -> frozenset[Scope]:
    """Every scope that some operation, or a condition on its body, asks for."""
    needs = {scope for row in policy.operations for scope in row.needs}
    return frozenset(needs | {condition.needs for row in policy.operations for condition in row.body})


def _enough(scope: Scope, asked: frozenset[Scope]) -> str:
    lower = Scope(scope.resource, Level.READ)
    return f" {lower} would do." if scope.level is Level.WRITE and lower in asked else ""
