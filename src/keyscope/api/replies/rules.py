"""Replies about what keys should be: remarks on scopes, presets, an account's rules."""

from __future__ import annotations

from pydantic import JsonValue

from keyscope.api.replies.shape import Reply, ScopeView, scope_views
from keyscope.authority.rules import Rules
from keyscope.model.scope import Scope
from keyscope.policy.linter import Remark


class RemarkView(Reply):
    """Something to think of about a set of scopes. ``code`` is stable."""

    code: str
    message: str
    scopes: list[str]


class Remarks(Reply):
    remarks: list[RemarkView]


class PresetView(Reply):
    """A named set of scopes of the policy, and of restrictions, null for none."""

    name: str
    about: str
    scopes: list[ScopeView]
    restrictions: dict[str, JsonValue] | None
    remarks: list[RemarkView]


class PresetList(Reply):
    presets: list[PresetView]


class RulesView(Reply):
    """What the account asks of its keys; null asks for nothing."""

    max_lifetime_ms: int | None
    require_expiry: bool
    max_idle_ms: int | None
    allowed_scopes: list[ScopeView] | None
    name_pattern: str | None


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
