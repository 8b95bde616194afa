"""The judgement: ``decide`` answers Allow or Deny, with every reason, and reads nothing but its arguments.

An Allow is built in one place, at the end, when nothing objected. Total, deterministic, and monotone in the grant.
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


class Allow(Struct, frozen=True, gc=False):
    """The key may do this."""

    lineage: Lineage
    access: Access


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


Decision: TypeAlias = Allow | Deny

_STATE_REASON = {
    State.EXPIRED: Reason.EXPIRED,
    State.SUSPENDED: Reason.SUSPENDED,
    State.REVOKED: Reason.REVOKED,
}
_DEAD = frozenset(_STATE_REASON.values())


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
    return Deny(lineage, access, _reasons(lineage, access, listed, missing), missing)


def _reasons(lineage: Lineage, access: Access, listed: bool, missing: tuple[Scope, ...]) -> tuple[Reason, ...]:
    states = {key.state_at(access.now_ms) for key in lineage.line} | {lineage.state_at(access.now_ms)}
    reasons = [reason for state, reason in _STATE_REASON.items() if state in states]
    if not listed:
        reasons.append(Reason.NOT_IN_POLICY)
    if missing:
        reasons.append(Reason.MISSING_SCOPE)
    return tuple(reasons)
