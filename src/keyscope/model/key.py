"""A key as the authority knows it, and what state it is in at a time.

A key lives only as long as everything above it: ``Lineage`` is a key with its ancestors, and its grant, expiry and
state are those of the whole line. So a parent that is narrowed or revoked narrows or kills its tree at the next
request, however many descendants there are.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from keyscope.model.scope import Grant, Scope
from keyscope.model.token import Kind

NEVER_MS = 1 << 63
"""Later than every expiry that can be set (Unix milliseconds)."""


class State(StrEnum):
    """What a key is at a time. Only ACTIVE keys are accepted."""

    ACTIVE = "active"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class Key(Struct, frozen=True, kw_only=True):
    """One key record. Times are Unix milliseconds. ``scopes`` are as asked for, one per resource type."""

    id: str
    account_id: str
    kind: Kind
    name: str
    digest: bytes
    hint: str
    scopes: tuple[Scope, ...]
    created_at_ms: int
    parent_id: str | None = None
    expires_at_ms: int | None = None
    suspended_at_ms: int | None = None
    revoked_at_ms: int | None = None
    revoked_reason: str | None = None

    @property
    def is_standard(self) -> bool:
        return self.kind is Kind.STANDARD

    def state_at(self, now_ms: int) -> State:
        """The key's own state at a time, its ancestors left aside. A key is valid strictly before its expiry."""
        if self.revoked_at_ms is not None:
            return State.REVOKED
        if self.expires_at_ms is not None and now_ms >= self.expires_at_ms:
            return State.EXPIRED
        if self.suspended_at_ms is not None:
            return State.SUSPENDED
        return State.ACTIVE


class Lineage:
    """A key and its ancestors, nearest first: the thing that is judged.

    ``grant`` is None for full access to the account, which only a standard key has. It is the meet of the restricted
    keys up to the nearest standard one.
    ``expires_at_ms`` is the earliest in the line, ``NEVER_MS`` if none expires.
    """

    __slots__ = ("ancestors", "expires_at_ms", "grant", "key", "stopped")

    def __init__(self, key: Key, ancestors: tuple[Key, ...] = ()) -> None:
        line = (key, *ancestors)
        self.key = key
        self.ancestors = ancestors
        self.grant = _meet_all(line)
        self.expires_at_ms = min(k.expires_at_ms if k.expires_at_ms is not None else NEVER_MS for k in line)
        self.stopped = any(k.revoked_at_ms is not None or k.suspended_at_ms is not None for k in line)

    def state_at(self, now_ms: int) -> State:
        """ACTIVE only if the key and every ancestor are. Otherwise the nearest obstacle, the key's own first."""
        states = [key.state_at(now_ms) for key in (self.key, *self.ancestors)]
        return next((state for state in states if state is not State.ACTIVE), State.ACTIVE)

    @property
    def ids(self) -> tuple[str, ...]:
        """The key's id and its ancestors', nearest first."""
        return (self.key.id, *(key.id for key in self.ancestors))


def _meet_all(line: tuple[Key, ...]) -> Grant | None:
    grant: Grant | None = None
    for key in line:
        if key.is_standard:
            break
        own = Grant(key.scopes)
        grant = own if grant is None else grant.meet(own)
    return grant
