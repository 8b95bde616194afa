"""Replies about what a key used of what it has."""

from __future__ import annotations

from keyscope.api.replies.shape import Reply, ScopeView, scope_views
from keyscope.authority.suggestion import Suggestion, Used
from keyscope.model.scope import WIRE_TYPE_PREFIX


class UsedView(Reply):
    """One resource type: what the key has, what was used, and the calls that needed that much.

    ``last_day_ms`` is the start (Unix milliseconds) of the last day with such a call.
    """

    resource_type: str
    granted: str
    used: str
    calls: int
    last_day_ms: int | None
    operations: list[str]


class ReplayView(Reply):
    """Every recorded call judged again with ``scopes``."""

    calls: int
    kinds: int
    refused: int


class DoubtView(Reply):
    code: str
    message: str


class Suggested(Reply):
    """``scopes`` would have served every call of the key and of the keys below it in the period; nothing less would.

    ``adds`` are those among them that the key does not have: it was let through to them while it was observed.
    """

    key_id: str
    since_ms: int
    until_ms: int
    granted: list[ScopeView]
    scopes: list[ScopeView]
    adds: list[ScopeView]
    used: list[UsedView]
    replay: ReplayView
    doubts: list[DoubtView]


def suggestion_view(found: Suggestion) -> dict[str, object]:
    replay = found.replay
    return {
        "key_id": found.key_id,
        "since_ms": found.since_ms,
        "until_ms": found.until_ms,
        "granted": scope_views(found.granted),
        "scopes": scope_views(found.scopes),
        "adds": scope_views(found.adds),
        "used": [_used_view(used) for used in found.used],
        "replay": {"calls": replay.calls, "kinds": replay.kinds, "refused": replay.refused},
        "doubts": [{"code": doubt.code, "message": doubt.message} for doubt in found.doubts],
    }


def _used_view(used: Used) -> dict[str, object]:
    return {
        "resource_type": WIRE_TYPE_PREFIX + used.resource.upper(),
        "granted": used.granted.wire,
        "used": used.used.wire,
        "calls": used.calls,
        "last_day_ms": used.last_ms,
        "operations": list(used.operations),
    }
