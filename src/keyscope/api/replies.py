"""What callers get back: the shapes, and the writing of each from the values of the model."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from keyscope.authority.lifecycle import Revoked
from keyscope.authority.lookup import Detail
from keyscope.authority.mint import Minted
from keyscope.authority.panic import Ended as EndedKeys
from keyscope.authority.rotate import Rotated
from keyscope.authority.rules import Rules
from keyscope.authority.tree import Node, Tree
from keyscope.model.key import NEVER_MS, Key, Lineage
from keyscope.model.scope import Scope
from keyscope.model.secret import Secret
from keyscope.policy.linter import Remark
from keyscope.wire.codec import encode

Status = Literal["active", "expired", "suspended", "revoked"]


class _Reply(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScopeView(_Reply):
    resource_type: str
    access_level: str


class ApiKeyCreated(_Reply):
    """Runloop's reply. ``key_secret`` is shown here and never again. Without an expiry, ``expires_at_ms`` is absent."""

    id: str
    name: str
    key_secret: str
    expires_at_ms: int | None = None


class RestrictedKeyCreated(ApiKeyCreated):
    scopes: list[ScopeView]


class KeyView(_Reply):
    """A key as described. Times are Unix milliseconds. ``dead_uses`` counts uses of secrets no longer good."""

    id: str
    name: str
    kind: Literal["standard", "restricted"]
    status: Status
    hint: str
    created_at_ms: int
    created_by: str | None
    parent_id: str | None
    expires_at_ms: int | None
    last_used_at_ms: int | None
    revoked_at_ms: int | None
    revoked_reason: str | None
    suspended_at_ms: int | None
    rotated_at_ms: int | None
    dead_uses: int
    dead_used_at_ms: int | None
    leaked_at_ms: int | None


class ApiKeyView(KeyView):
    pass


class RestrictedKeyView(KeyView):
    """``scopes`` are the key's own; ``effective_scopes`` what its ancestors leave of them."""

    scopes: list[ScopeView]
    effective_scopes: list[ScopeView]


class ApiKeyList(_Reply):
    api_keys: list[ApiKeyView]
    has_more: bool
    total_count: int | None


class RestrictedKeyList(_Reply):
    restricted_keys: list[RestrictedKeyView]
    has_more: bool
    total_count: int | None


class Died(_Reply):
    """The living keys that ended with a revoked one: how many, and the first 100 of their ids."""

    count: int
    ids: list[str]


class ApiKeyRevoked(ApiKeyView):
    died_with_it: Died


class RestrictedKeyRevoked(RestrictedKeyView):
    died_with_it: Died


class ApiKeyRotated(ApiKeyCreated):
    """As created. ``old_secret_expires_at_ms`` is when the secret before this one ends."""

    old_secret_expires_at_ms: int


class RestrictedKeyRotated(RestrictedKeyCreated):
    old_secret_expires_at_ms: int


class DerivedRevoked(_Reply):
    """A derived key that is good no longer, and what was derived from it."""

    key_id: str
    derived_id: str
    status: Literal["revoked"]


class NodeView(_Reply):
    """A key below another, ``depth`` generations down. ``scopes`` are the effective ones, in the short form."""

    id: str
    name: str
    kind: Literal["standard", "restricted"]
    status: Status
    parent_id: str | None
    depth: int
    scopes: list[str]
    expires_at_ms: int | None


class ApiKeyTree(_Reply):
    """``ancestors`` are key ids, nearest first."""

    root: ApiKeyView
    ancestors: list[str]
    descendants: list[NodeView]
    has_more: bool
    total_count: int


class RestrictedKeyTree(_Reply):
    root: RestrictedKeyView
    ancestors: list[str]
    descendants: list[NodeView]
    has_more: bool
    total_count: int


class LeakTaken(_Reply):
    """What came of a leaked key. ``id`` is null for a text that was never a key of this account."""

    id: str | None
    derived_id: str | None
    ended: Literal["key", "earlier_secret", "derived_key"] | None


class LeaksTaken(_Reply):
    """In the order of the report."""

    results: list[LeakTaken]


class Ended(_Reply):
    """The calling key is good no longer. ``died_with_it`` counts the living keys that it had minted."""

    id: str
    status: Literal["revoked"]
    died_with_it: int


class RemarkView(_Reply):
    """Something to think of about a set of scopes. ``code`` is stable."""

    code: str
    message: str
    scopes: list[str]


class Remarks(_Reply):
    remarks: list[RemarkView]


class PresetView(_Reply):
    """A named set of scopes of the policy."""

    name: str
    about: str
    scopes: list[ScopeView]
    remarks: list[RemarkView]


class PresetList(_Reply):
    presets: list[PresetView]


class RulesView(_Reply):
    """What the account asks of its keys; null asks for nothing."""

    max_lifetime_ms: int | None
    require_expiry: bool
    max_idle_ms: int | None
    allowed_scopes: list[ScopeView] | None
    name_pattern: str | None


class EndedView(_Reply):
    id: str
    name: str
    kind: Literal["standard", "restricted"]


class KeysEnded(_Reply):
    """The keys revoked, or, on a dry run, those that would be: how many, and the first 100 of them."""

    dry_run: bool
    count: int
    keys: list[EndedView]
    died_with_them: int


class Me(_Reply):
    """What the calling key is. ``derived_id`` is that of a derived key; the rest is then about what it came from."""

    id: str
    name: str
    kind: Literal["standard", "restricted"]
    account_id: str
    full_access: bool
    scopes: list[str]
    expires_at_ms: int | None
    parent_id: str | None
    derived_id: str | None


class Explained(_Reply):
    """A decision in words, the same as in a 403."""

    allowed: bool
    operation: str | None
    needs: list[str]
    missing_scopes: list[str]
    reasons: list[str]
    message: str
    next: list[str]


class Verified(_Reply):
    """Whether a key is good, and whether it covers what was asked. ``valid`` false says nothing more about the key.

    ``chain`` has the key's id and its ancestors', nearest first, before them the links of a derived key, last first: a
    change of one of these may change the answer, which is that of ``now_ms``. ``judged_by_body`` says whether the
    scopes depend on the body of the call.
    """

    valid: bool
    allowed: bool
    key: Me | None
    chain: list[str]
    operation: str | None
    judged_by_body: bool
    reasons: list[str]
    missing_scopes: list[str]
    message: str
    next: list[str]
    now_ms: int


class VerifiedAll(_Reply):
    """The answers to several checks, in the order asked."""

    results: list[Verified]


class OperationView(_Reply):
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


class OperationList(_Reply):
    """The policy: every operation, and the scopes it needs."""

    policy: str
    resource_types: dict[str, str]
    operations: list[OperationView]


class Health(_Reply):
    status: Literal["ok"]
    version: str


class Problem(BaseModel):
    """RFC 9457 problem details, with ``code`` and ``message``."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    detail: str
    code: str
    message: str


def render_created(minted: Minted) -> bytes:
    """Runloop's reply to a mint."""
    return encode(_created(minted.key, minted.secret))


def _created(key: Key, secret: Secret) -> dict[str, object]:
    """The one place where a secret is written."""
    reply: dict[str, object] = {"id": key.id, "name": key.name, "key_secret": secret.reveal()}
    if not key.is_standard:
        reply["scopes"] = scope_views(key.scopes)
    if key.expires_at_ms is not None:
        reply["expires_at_ms"] = key.expires_at_ms
    return reply


def render_rotated(rotated: Rotated) -> bytes:
    """The reply to a rotation, secret included."""
    created = _created(rotated.key, rotated.secret)
    return encode({**created, "old_secret_expires_at_ms": rotated.old_until_ms})


def scope_views(scopes: tuple[Scope, ...]) -> list[dict[str, str]]:
    return [scope.entry for scope in scopes]


def key_view(detail: Detail, now_ms: int) -> dict[str, object]:
    """A described key, restricted or standard."""
    lineage = detail.lineage
    key = lineage.key
    view: dict[str, object] = {
        "id": key.id,
        "name": key.name,
        "kind": _kind(key),
        "status": lineage.state_at(now_ms).value,
        "hint": key.hint,
        "created_at_ms": key.created_at_ms,
        "created_by": key.parent_id,
        "parent_id": key.parent_id,
        "expires_at_ms": key.expires_at_ms,
        "last_used_at_ms": detail.last_used_at_ms,
        "revoked_at_ms": key.revoked_at_ms,
        "revoked_reason": key.revoked_reason,
        "suspended_at_ms": key.suspended_at_ms,
        "rotated_at_ms": key.rotated_at_ms,
        "dead_uses": detail.dead_uses.uses if detail.dead_uses is not None else 0,
        "dead_used_at_ms": detail.dead_uses.last_at_ms if detail.dead_uses is not None else None,
        "leaked_at_ms": detail.leaked_at_ms,
    }
    if not key.is_standard:
        view["scopes"] = scope_views(key.scopes)
        view["effective_scopes"] = scope_views(lineage.grant.scopes() if lineage.grant is not None else ())
    return view


def revoked_view(revoked: Revoked, now_ms: int) -> dict[str, object]:
    died = {"count": revoked.died, "ids": list(revoked.died_ids)}
    return {**key_view(revoked.detail, now_ms), "died_with_it": died}


def tree_view(tree: Tree, now_ms: int) -> dict[str, object]:
    return {
        "root": key_view(tree.root, now_ms),
        "ancestors": list(tree.ancestors),
        "descendants": [_node_view(node, now_ms) for node in tree.nodes],
        "has_more": tree.has_more,
        "total_count": tree.total,
    }


def _node_view(node: Node, now_ms: int) -> dict[str, object]:
    lineage = node.lineage
    key = lineage.key
    return {
        "id": key.id,
        "name": key.name,
        "kind": _kind(key),
        "status": lineage.state_at(now_ms).value,
        "parent_id": key.parent_id,
        "depth": node.depth,
        "scopes": [str(scope) for scope in lineage.grant] if lineage.grant is not None else [],
        "expires_at_ms": lineage.expires_at_ms if lineage.expires_at_ms < NEVER_MS else None,
    }


def ended_view(ended: EndedKeys, dry_run: bool) -> dict[str, object]:
    keys = [{"id": key.id, "name": key.name, "kind": _kind(key)} for key in ended.keys]
    return {"dry_run": dry_run, "count": ended.count, "keys": keys, "died_with_them": ended.died}


def remark_views(remarks: tuple[Remark, ...]) -> list[dict[str, object]]:
    return [
        {"code": remark.code, "message": remark.message, "scopes": [str(scope) for scope in remark.scopes]}
        for remark in remarks
    ]


def rules_view(rules: Rules) -> dict[str, object]:
    allowed = rules.allowed_scopes
    return {
        "max_lifetime_ms": rules.max_lifetime_ms,
        "require_expiry": rules.require_expiry,
        "max_idle_ms": rules.max_idle_ms,
        "allowed_scopes": scope_views(tuple(map(Scope.parse, allowed))) if allowed is not None else None,
        "name_pattern": rules.name_pattern,
    }


def me_view(lineage: Lineage) -> dict[str, object]:
    """What a key is, small enough for a prompt. The scopes and expiry are the effective ones."""
    key = lineage.key
    return {
        "id": key.id,
        "name": key.name,
        "kind": _kind(key),
        "account_id": key.account_id,
        "full_access": lineage.grant is None,
        "scopes": [str(scope) for scope in lineage.grant] if lineage.grant is not None else [],
        "expires_at_ms": lineage.expires_at_ms if lineage.expires_at_ms < NEVER_MS else None,
        "parent_id": key.parent_id,
        "derived_id": lineage.derived[-1] if lineage.derived else None,
    }


def _kind(key: Key) -> str:
    return key.kind.name.lower()
