"""Replies about what happened: entries of the audit trail, and counts of calls."""

from __future__ import annotations

from typing import Any

from keyscope.api.replies.shape import Reply
from keyscope.authority.trail import Entry, UseCount, verdict_of


class EntryView(Reply):
    """One entry. ``chain`` is who acted: derived links, the key, its ancestors, nearest first.

    ``times`` counts equal calls that were written down together. ``event`` is the number of a change, as
    ``/keyscope/changes`` has it, and ``changes`` says what changed.
    """

    number: int
    at_ms: int
    kind: str
    verdict: str | None
    key_id: str | None
    chain: list[str]
    operation: str | None
    method: str | None
    path: str | None
    code: str | None
    reasons: list[str]
    missing_scopes: list[str]
    peer: str | None
    request_id: str | None
    times: int
    event: int | None
    changes: dict[str, Any]


class EntryList(Reply):
    """Newest first."""

    entries: list[EntryView]
    has_more: bool


class UseView(Reply):
    """Calls that were let through in the step of time that starts at ``start_ms``. ``operation`` null: none listed."""

    key_id: str
    operation: str | None
    needs: list[str]
    start_ms: int
    calls: int


class UseList(Reply):
    """By time, key and operation."""

    counts: list[UseView]
    has_more: bool


def entry_view(entry: Entry) -> dict[str, object]:
    verdict = verdict_of(entry.kind)
    return {
        "number": entry.number,
        "at_ms": entry.at_ms,
        "kind": entry.kind,
        "verdict": verdict.value if verdict is not None else None,
        "key_id": entry.key_id,
        "chain": list(entry.chain),
        "operation": entry.operation,
        "method": entry.method,
        "path": entry.path,
        "code": entry.code,
        "reasons": list(entry.reasons),
        "missing_scopes": list(entry.missing),
        "peer": entry.peer,
        "request_id": entry.request_id,
        "times": entry.times,
        "event": entry.event,
        "changes": entry.changes,
    }


def use_view(count: UseCount) -> dict[str, object]:
    return {
        "key_id": count.key_id,
        "operation": count.operation,
        "needs": [str(scope) for scope in count.needs],
        "start_ms": count.minute_ms,
        "calls": count.calls,
    }
