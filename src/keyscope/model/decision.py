"""The judgement: ``decide`` answers Allow or Deny, with every reason, and reads nothing but its arguments.

An Allow is built when nothing objected. The one objection that may be put aside is the lack of the key's own scopes,
while the key is observed: the Allow then carries the denial that it would have been. Total, deterministic, and monotone
in the grant.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct

from keyscope.model.access import Access
from keyscope.model.key import Lineage, State
from keyscope.model.scope import Scope


class Reason(StrEnum):
    """Why a request is denied."""

    EXPIRED = "expired"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    NOT_IN_POLICY = "not_in_policy"
    MISSING_SCOPE = "missing_scope"
    NARROWED = "narrowed"
    """Beside MISSING_SCOPE: a key of the line had the scopes before it was narrowed to what it uses."""


class Deny(Struct, frozen=True):
    """The key may not; ``reasons`` has every one, and ``missing`` every scope that it lacks."""

    lineage: Lineage
    access: Access
    reasons: tuple[Reason, ...]
    missing: tuple[Scope, ...] = ()

    @property
    def is_dead(self) -> bool:
        """Whether the key itself is no longer good, whatever it asks for."""
        return bool(_DEAD & set(self.reasons))


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
    the policy lists and its grant covers (laws 1 and 3).
    """
    alive = not lineage.stopped and access.now_ms < lineage.expires_at_ms
    grant = lineage.grant
    missing: tuple[Scope, ...] = ()
    listed = True
    if grant is not None:
        listed = access.route is not None
        missing = grant.missing(access.needs)
    if alive and listed and not missing:
        return Allow(lineage, access)
    denied = Deny(lineage, access, _reasons(lineage, access, listed, missing), missing)
    return Allow(lineage, access, denied) if _is_only_recorded(denied) else denied


def strict(decision: Decision) -> Decision:
    """The decision as it would be if no key were observed: for whoever does not record what is observed."""
    return decision.observed or decision if isinstance(decision, Allow) else decision


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
