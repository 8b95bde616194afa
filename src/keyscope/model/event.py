"""What happened: one append-only record per change, written in the same transaction as the change."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class EventKind(StrEnum):
    """The kinds of event. Append-only: a test pins the list."""

    ACCOUNT_CREATED = "account.created"
    KEY_MINTED = "key.minted"
    KEY_UPDATED = "key.updated"
    KEY_REVOKED = "key.revoked"


class Origin(Struct, frozen=True):
    """Who asked and from where. ``chain`` is the acting key and its ancestors, nearest first; empty for the system."""

    chain: tuple[str, ...] = ()
    peer: str | None = None
    request_id: str | None = None


class Event(Struct, frozen=True, kw_only=True):
    """One event. ``at_ms`` is Unix milliseconds; ``changes`` is what changed, without any secret."""

    kind: EventKind
    at_ms: int
    account_id: str
    key_id: str | None = None
    origin: Origin = Origin()
    changes: dict[str, object] = {}
