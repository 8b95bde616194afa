"""Replies about one key or many: made, described, revoked, rotated. The one place where a secret is written."""

from __future__ import annotations

from typing import Literal

from pydantic import JsonValue

from keyscope.api.replies.receipt import ReceiptView
from keyscope.api.replies.shape import (
    BoundView,
    Reply,
    RunView,
    ScopeView,
    SpentView,
    Status,
    bound_views,
    kind_word,
    run_view,
    scope_views,
)
from keyscope.authority.lifecycle import Revoked
from keyscope.authority.lookup import Detail
from keyscope.authority.mint import Minted
from keyscope.authority.rotate import Rotated
from keyscope.model.key import Key
from keyscope.model.secret import Secret
from keyscope.wire.codec import encode


class ApiKeyCreated(Reply):
    """Runloop's reply. ``key_secret`` is shown here and never again. Without an expiry, ``expires_at_ms`` is absent."""

    id: str
    name: str
    key_secret: str
    expires_at_ms: int | None = None


class RestrictedKeyCreated(ApiKeyCreated):
    scopes: list[ScopeView]


class KeyView(Reply):
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
    receipt: ReceiptView | None = None
    """Where the reply is to a change that takes something away, and the server is one of several nodes."""


class ApiKeyView(KeyView):
    pass


class RestrictedKeyView(KeyView):
    """``scopes`` are the key's own; ``effective_scopes`` what its ancestors leave of them.

    ``narrowed_from`` are the scopes before the last narrowing, which a revert gives back; null if there is none to take
    back. Until ``observe_until_ms`` a lack of own scopes is recorded and not refused. ``restrictions`` are the key's
    own, null if it has none; ``effective_restrictions`` those of its whole line, nearest first, by holder. ``run`` is
    what it dies with. ``spent``, in the description of one key, is what is gone of limits that are counted, the whole
    line's, nearest first; null if that cannot be known now.
    """

    scopes: list[ScopeView]
    effective_scopes: list[ScopeView]
    observe_until_ms: int | None
    narrowed_at_ms: int | None
    narrowed_from: list[ScopeView] | None
    restrictions: dict[str, JsonValue] | None
    effective_restrictions: list[BoundView]
    run: RunView | None
    spent: list[SpentView] | None = None


class ApiKeyList(Reply):
    api_keys: list[ApiKeyView]
    has_more: bool
    total_count: int | None


class RestrictedKeyList(Reply):
    restricted_keys: list[RestrictedKeyView]
    has_more: bool
    total_count: int | None


class Died(Reply):
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
    receipt: ReceiptView | None = None


class RestrictedKeyRotated(RestrictedKeyCreated):
    old_secret_expires_at_ms: int
    receipt: ReceiptView | None = None


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


def key_view(detail: Detail, now_ms: int) -> dict[str, object]:
    """A described key, restricted or standard."""
    lineage = detail.lineage
    key = lineage.key
    view: dict[str, object] = {
        "id": key.id,
        "name": key.name,
        "kind": kind_word(key),
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
        view["observe_until_ms"] = key.observe_until_ms if key.is_observed_at(now_ms) else None
        view["narrowed_at_ms"] = key.narrowed_at_ms
        view["narrowed_from"] = scope_views(key.narrowed_from) if key.narrowed_from is not None else None
        view["restrictions"] = key.restrictions.plain if key.restrictions is not None else None
        view["effective_restrictions"] = bound_views(lineage)
        view["run"] = run_view(key.run)
    return view


def revoked_view(revoked: Revoked, now_ms: int) -> dict[str, object]:
    died = {"count": revoked.died, "ids": list(revoked.died_ids)}
    return {**key_view(revoked.detail, now_ms), "died_with_it": died}
