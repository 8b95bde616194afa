"""A key as the authority knows it, and what state it is in at a time.

A key lives only as long as everything above it: ``Lineage`` is a key with its ancestors, and its grant, expiry and
state are those of the whole line. So a parent that is narrowed or revoked narrows or kills its tree at the next
request, however many descendants there are.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

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


class Key(Struct, frozen=True, kw_only=True, gc=False):
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
    """A key and everything above it: the thing that is judged. ``parent`` is the lineage of the key that minted it.

    ``grant`` is None for full access to the account, which only a standard key has. It is the meet of the restricted
    keys up to the nearest standard one. ``expires_at_ms`` is the earliest in the line, ``NEVER_MS`` if none expires;
    ``stopped`` says whether any key in it is revoked or suspended.
    """

    __slots__ = ("expires_at_ms", "grant", "key", "parent", "stopped")

    key: Key
    parent: Lineage | None
    grant: Grant | None
    expires_at_ms: int
    stopped: bool

    def __init__(self, key: Key, parent: Lineage | None = None) -> None:
        ends = NEVER_MS if key.expires_at_ms is None else key.expires_at_ms
        grant = None if key.kind is Kind.STANDARD else _grant(key.scopes)
        stopped = key.revoked_at_ms is not None or key.suspended_at_ms is not None
        if parent is not None:
            ends = min(ends, parent.expires_at_ms)
            stopped = stopped or parent.stopped
            if grant is not None and parent.grant is not None:
                grant = grant.meet(parent.grant)
        self.key = key
        self.parent = parent
        self.grant = grant
        self.expires_at_ms = ends
        self.stopped = stopped

    @property
    def line(self) -> tuple[Key, ...]:
        """The key and its ancestors, nearest first."""
        keys: list[Key] = []
        at: Lineage | None = self
        while at is not None:
            keys.append(at.key)
            at = at.parent
        return tuple(keys)

    @property
    def ids(self) -> tuple[str, ...]:
        """The key's id and its ancestors', nearest first."""
        return tuple(key.id for key in self.line)

    def state_at(self, now_ms: int) -> State:
        """ACTIVE only if the key and every ancestor are. Otherwise the nearest obstacle, the key's own first."""
        states = [key.state_at(now_ms) for key in self.line]
        return next((state for state in states if state is not State.ACTIVE), State.ACTIVE)


_grant = lru_cache(maxsize=4096)(Grant)
"""Many keys share a few sets of scopes."""
