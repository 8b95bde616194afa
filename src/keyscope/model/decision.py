"""The judgement: ``decide`` answers Allow or Deny, with every reason, and reads nothing but its arguments.

An Allow is built when nothing objected. The one objection that may be put aside is the lack of the key's own scopes,
while the key is observed: the Allow then carries the denial that it would have been. Total, deterministic, and monotone
in the grant.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from keyscope.model.access import Access
from keyscope.model.key import Lineage, State
from keyscope.model.objection import Objection, Reason
from keyscope.model.operation import LIVE
from keyscope.model.scope import Scope


class Deny(Struct, frozen=True):
    """The key may not; ``reasons`` has every one, ``missing`` every scope that it lacks, and ``objections`` all that
    the restrictions of its line have against the call.
    """

    lineage: Lineage
    access: Access
    reasons: tuple[Reason, ...]
    missing: tuple[Scope, ...] = ()
    objections: tuple[Objection, ...] = ()

    @property
    def is_dead(self) -> bool:
        """Whether the key itself is no longer good, whatever it asks for."""
        return bool(_DEAD & set(self.reasons))

    @property
    def is_hidden(self) -> bool:
        """Whether what is asked for is to be answered as if it did not exist: nothing else is against the call."""
        return set(self.reasons) == {Reason.NOT_OWN} and all(objection.hides for objection in self.objections)


class Allow(Struct, frozen=True, gc=False):
    """The key may do this. ``observed`` is the denial that it would be if the key were not observed."""

    lineage: Lineage
    access: Access
    observed: Deny | None = None


Decision: TypeAlias = Allow | Deny

_STATE_REASON = {
    State.EXPIRED: Reason.EXPIRED,
    State.SUSPENDED: Reason.SUSPENDED,
    State.REVOKED: Reason.REVOKED,
}
_DEAD = frozenset(_STATE_REASON.values())
_FORGIVABLE = frozenset({Reason.MISSING_SCOPE, Reason.NARROWED})


def decide(lineage: Lineage, access: Access) -> Decision:
    """Judge one attempted request by one key.

    A live standard key may do everything in its account, listed in the policy or not. A restricted key may do what
    the policy lists and its grant covers (laws 1 and 3). Either must pass every restriction of its line.
    """
    alive = not lineage.stopped and access.now_ms < lineage.expires_at_ms
    grant = lineage.grant
    missing: tuple[Scope, ...] = ()
    listed = True
    if grant is not None:
        listed = access.route is not None
        missing = grant.missing(access.needs)
    objections = _objections(lineage, access) if lineage.bounds else ()
    if alive and listed and not missing and not objections:
        return Allow(lineage, access)
    reasons = _reasons(lineage, access, listed, missing)
    if objections:
        reasons += tuple(dict.fromkeys(objection.reason for objection in objections))
    denied = Deny(lineage, access, reasons, missing, objections)
    return Allow(lineage, access, denied) if _is_only_recorded(denied) else denied


def strict(decision: Decision) -> Decision:
    """The decision as it would be if no key were observed: for whoever does not record what is observed."""
    return decision.observed or decision if isinstance(decision, Allow) else decision


def is_restricted(access: Access) -> bool:
    """Whether restrictions look at such a call.

    Not at what needs no scope and is Keyscope's own: there a key is told what it is, or ends itself.
    """
    route = access.route
    return route is not LIVE and (bool(access.needs) or route is None or not route.is_own)


def _objections(lineage: Lineage, access: Access) -> tuple[Objection, ...]:
    """What all restrictions of the line have against a call."""
    if not is_restricted(access):
        return ()
    found: list[Objection] = []
    for bound in lineage.bounds:
        found += bound.objections(access)
    return tuple(found)


def _is_only_recorded(denied: Deny) -> bool:
    """Never for Keyscope's own operations: what a key does to keys outlives its being observed."""
    if not _FORGIVABLE.issuperset(denied.reasons) or denied.access.route is None or denied.access.route.is_own:
        return False
    return denied.lineage.forgives(denied.missing, denied.access.now_ms)


def _reasons(lineage: Lineage, access: Access, listed: bool, missing: tuple[Scope, ...]) -> tuple[Reason, ...]:
    states = {key.state_at(access.now_ms) for key in lineage.line} | {lineage.state_at(access.now_ms)}
    reasons = [reason for state, reason in _STATE_REASON.items() if state in states]
    if not listed:
        reasons.append(Reason.NOT_IN_POLICY)
    if missing:
        reasons.append(Reason.MISSING_SCOPE)
        if any(key.lost_by_narrowing(missing, access.now_ms) for key in lineage.line):
            reasons.append(Reason.NARROWED)
    return tuple(reasons)
