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
    KEY_ROTATED = "key.rotated"
    KEY_SUSPENDED = "key.suspended"
    KEY_RESUMED = "key.resumed"
    KEY_UNDELETED = "key.undeleted"
    KEY_RENEWED = "key.renewed"
    KEY_DEAD_USED = "key.dead_used"
    DERIVED_KEY_REVOKED = "derived_key.revoked"
    ACCOUNT_RULES_CHANGED = "account.rules_changed"
    KEY_LEAK_REPORTED = "key.leak_reported"
    HOLD_CREATED = "hold.created"
    HOLD_APPROVED = "hold.approved"
    HOLD_REFUSED = "hold.refused"
    HOLD_ENDED = "hold.ended"
    WEBHOOK_ADDED = "webhook.added"
    WEBHOOK_REMOVED = "webhook.removed"

    @classmethod
    def known_or_newer(cls, text: str) -> EventKind:
        """The kind; one that a newer version wrote is kept as it is, so that events can be read and copied.

        It is equal to none of the above, and whoever acts on events has to take it for one that matters.
        """
        try:
            return cls(text)
        except ValueError:
            newer = str.__new__(cls, text)
            newer._name_ = newer._value_ = text
            return newer


class Origin(Struct, frozen=True):
    """Who asked and from where. ``chain`` is the acting key and its ancestors, nearest first; empty for the system.

    A derived key stands before the key that it came from, by the ids of its links.
    """

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
