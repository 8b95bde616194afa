"""Replies to those who ask: what a key is, what it may do, and what the policy says."""

from __future__ import annotations

from typing import Literal

from keyscope.api.replies.shape import (
    BoundView,
    ObjectionView,
    Reply,
    RunView,
    SpentView,
    bound_views,
    kind_word,
    run_view,
)
from keyscope.model.key import NEVER_MS, Lineage


class Me(Reply):
    """What the calling key is. ``derived_id`` is that of a derived key; the rest is then about what it came from.

    ``restrictions`` are those of its whole line, nearest first; ``spent`` is what is gone of those that are counted,
    null if that cannot be known now, and only in the answer to the key itself.
    """

    id: str
    name: str
    kind: Literal["standard", "restricted"]
    account_id: str
    full_access: bool
    scopes: list[str]
    expires_at_ms: int | None
    parent_id: str | None
    derived_id: str | None
    restrictions: list[BoundView]
    run: RunView | None
    spent: list[SpentView] | None = None


class Explained(Reply):
    """A decision in words, the same as in a 403.

    ``observed_scopes`` are those that the key lacks for a call that is let through because the key is observed.
    """

    allowed: bool
    operation: str | None
    needs: list[str]
    missing_scopes: list[str]
    observed_scopes: list[str]
    reasons: list[str]
    objections: list[ObjectionView]
    message: str
    next: list[str]


class Verified(Reply):
    """Whether a key is good, and whether it covers what was asked. ``valid`` false says nothing more about the key.

    ``chain`` has the key's id and its ancestors', nearest first, before them the links of a derived key, last first: a
    change of one of these may change the answer, which is that of ``now_ms``. ``judged_by_body`` says whether the
    scopes depend on the body of the call. ``observed_scopes`` are those that the key lacks for a call that is let
    through because the key is observed: such an answer is for one call and must not be kept. Nor must one about a key
    that has restrictions, for these look at each call. ``objections`` are what they have against this one.
    """

    valid: bool
    allowed: bool
    key: Me | None
    chain: list[str]
    operation: str | None
    judged_by_body: bool
    reasons: list[str]
    missing_scopes: list[str]
    observed_scopes: list[str]
    objections: list[ObjectionView]
    message: str
    next: list[str]
    now_ms: int


class VerifiedAll(Reply):
    """The answers to several checks, in the order asked."""

    results: list[Verified]


class OperationView(Reply):
    """One row of the policy."""

    id: str
    method: str
    path: str
    needs: list[str]
    body: list[dict[str, str]]
    why: str
    destroys: str | None
    creates: dict[str, str] | None
    credentials: list[str]
    transport: str
    deprecated: bool


class OperationList(Reply):
    """The policy: every operation, and the scopes it needs."""

    policy: str
    resource_types: dict[str, str]
    operations: list[OperationView]


def me_view(lineage: Lineage) -> dict[str, object]:
    """What a key is, small enough for a prompt. The scopes and expiry are the effective ones."""
    key = lineage.key
    return {
        "id": key.id,
        "name": key.name,
        "kind": kind_word(key),
        "account_id": key.account_id,
        "full_access": lineage.grant is None,
        "scopes": [str(scope) for scope in lineage.grant] if lineage.grant is not None else [],
        "expires_at_ms": lineage.expires_at_ms if lineage.expires_at_ms < NEVER_MS else None,
        "parent_id": key.parent_id,
        "derived_id": lineage.derived[-1] if lineage.derived else None,
        "restrictions": bound_views(lineage),
        "run": run_view(key.run),
    }
