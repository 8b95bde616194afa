"""A key as the authority knows it, and what state it is in at a time.

A key lives only as long as everything above it: ``Lineage`` is a key with its ancestors, and its grant, expiry and
state are those of the whole line. So a parent that is narrowed or revoked narrows or kills its tree at the next
request, however many descendants there are.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from msgspec import Struct

from keyscope.model.restrictions import Bound, Restrictions
from keyscope.model.run import Run
from keyscope.model.scope import Grant, Scope
from keyscope.model.token import Kind

NEVER_MS = 1 << 63
"""Later than every expiry that can be set (Unix milliseconds)."""
REVERTIBLE_MS = 30 * 24 * 3600 * 1000
"""How long after a narrowing its taking back is offered, in milliseconds."""
REVOKED_ALONE_MS = 0
"""The end of a derived key that was revoked alone: before every time."""


class State(StrEnum):
    """What a key is at a time. Only ACTIVE keys are accepted."""

    ACTIVE = "active"
    EXPIRED = "expired"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


class Key(Struct, frozen=True, kw_only=True, gc=False):
    """One key record. Times are Unix milliseconds. ``scopes`` are as asked for, one per resource type.

    ``run`` is what the key is bound to, and dies with; None for nothing.

    ``share`` is the store's part of what derived keys are checked with (model/derived.py), 32 bytes; None for a key
    from before there were any. ``superseded_at_ms`` is set only on a key that was found by an earlier secret of it:
    that secret's end.

    Until ``observe_until_ms`` a lack of the key's own scopes is recorded and not refused, as far as ``observe_within``
    goes (None: as far as the keys above it go). ``narrowed_from`` are the scopes before the last narrowing to what the
    key uses, for as long as nobody has changed them since. ``restrictions`` are what it is bound to beyond its scopes;
    None for none, and always for a standard key.
    """

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
    share: bytes | None = None
    rotated_at_ms: int | None = None
    resumed_at_ms: int | None = None
    observe_until_ms: int | None = None
    observe_within: tuple[Scope, ...] | None = None
    narrowed_at_ms: int | None = None
    narrowed_from: tuple[Scope, ...] | None = None
    restrictions: Restrictions | None = None
    run: Run | None = None
    superseded_at_ms: int | None = None

    @property
    def is_standard(self) -> bool:
        return self.kind is Kind.STANDARD

    @property
    def ends_at_ms(self) -> int:
        """When it is good no longer, as it was found; ``NEVER_MS`` for never."""
        ends = NEVER_MS if self.expires_at_ms is None else self.expires_at_ms
        if self.run is not None and self.run.lease_until_ms is not None:
            ends = min(ends, self.run.lease_until_ms)
        return ends if self.superseded_at_ms is None else min(ends, self.superseded_at_ms)

    def state_at(self, now_ms: int) -> State:
        """The key's own state at a time, its ancestors left aside. A key is valid strictly before its expiry."""
        if self.revoked_at_ms is not None:
            return State.REVOKED
        if now_ms >= self.ends_at_ms:
            return State.EXPIRED
        if self.suspended_at_ms is not None:
            return State.SUSPENDED
        return State.ACTIVE

    def is_observed_at(self, now_ms: int) -> bool:
        return self.observe_until_ms is not None and now_ms < self.observe_until_ms

    def is_narrowed_at(self, now_ms: int) -> bool:
        """Whether it was narrowed not long ago, so that to take that back is still offered."""
        return self.narrowed_at_ms is not None and now_ms < self.narrowed_at_ms + REVERTIBLE_MS

    def lost_by_narrowing(self, scopes: tuple[Scope, ...], now_ms: int) -> bool:
        """Whether it lacks some of these scopes, and had all that it lacks before it was narrowed."""
        if self.narrowed_from is None or not self.is_narrowed_at(now_ms):
            return False
        lacked = _grant(self.scopes).missing(scopes)
        return bool(lacked) and not _grant(self.narrowed_from).missing(lacked)


class Lineage:
    """A key and everything above it: the thing that is judged. ``parent`` is the lineage of the key that minted it.

    ``grant`` is None for full access to the account, which only a standard key has. It is the meet of the restricted
    keys up to the nearest standard one. ``expires_at_ms`` is the earliest in the line, ``NEVER_MS`` if none expires;
    ``stopped`` says whether any key in it is revoked or suspended. ``derived`` has the ids of the links, first to
    last, if the key was shown as one that its holder derived from it; empty otherwise. ``bounds`` are the restrictions
    of all keys of the line that have any, nearest first: a child never has fewer than its parent.
    """

    __slots__ = ("bounds", "derived", "expires_at_ms", "grant", "key", "parent", "stopped")

    key: Key
    parent: Lineage | None
    grant: Grant | None
    expires_at_ms: int
    stopped: bool
    derived: tuple[str, ...]
    bounds: tuple[Bound, ...]

    def __init__(self, key: Key, parent: Lineage | None = None) -> None:
        ends = key.ends_at_ms
        grant = None if key.kind is Kind.STANDARD else _grant(key.scopes)
        stopped = key.revoked_at_ms is not None or key.suspended_at_ms is not None
        bounds: tuple[Bound, ...] = ()
        if key.restrictions is not None:
            bounds = (Bound(key.id, key.restrictions),)
        if parent is not None:
            ends = min(ends, parent.expires_at_ms)
            stopped = stopped or parent.stopped
            bounds += parent.bounds
            if grant is not None and parent.grant is not None:
                grant = grant.meet(parent.grant)
        self.key = key
        self.parent = parent
        self.grant = grant
        self.expires_at_ms = ends
        self.stopped = stopped
        self.derived = ()
        self.bounds = bounds

    def narrowed(
        self, links: tuple[str, ...], grant: Grant | None, ends_at_ms: int, bounds: tuple[Bound, ...] = ()
    ) -> Lineage:
        """The same key as one of its derived keys shows it: never more, never longer. ``grant`` None adds no limit.

        ``bounds`` are the restrictions of the links, the last one first.
        """
        made = Lineage.__new__(Lineage)  # __init__ would work out again what is known
        made.key, made.parent, made.stopped, made.derived = self.key, self.parent, self.stopped, links
        made.bounds = bounds + self.bounds
        if grant is None or self.grant is None:
            made.grant = self.grant if grant is None else grant
        else:
            made.grant = self.grant.meet(grant)
        made.expires_at_ms = min(self.expires_at_ms, ends_at_ms)
        return made

    def forgives(self, missing: tuple[Scope, ...], now_ms: int) -> bool:
        """Whether the lack of these scopes is only recorded: the key is observed, and all above it covers them.

        Nobody inherits this: neither the keys that it mints nor those derived from it.
        """
        if self.parent is None or self.derived or not self.key.is_observed_at(now_ms):
            return False
        within = self.key.observe_within
        if within is not None and _grant(within).missing(missing):
            return False
        return self.parent.grant is None or not self.parent.grant.missing(missing)

    @property
    def latest_ms(self) -> int:
        """The earliest expiry in the line, leases left aside, for they may be renewed; ``NEVER_MS`` if none expires."""
        return min(NEVER_MS if key.expires_at_ms is None else key.expires_at_ms for key in self.line)

    @property
    def is_bound(self) -> bool:
        """Whether it, or a key above it, is bound to a run."""
        return any(key.run is not None for key in self.line)

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

    @property
    def chain(self) -> tuple[str, ...]:
        """Who acts, for the record: the derived links, last first, then ``ids``."""
        return (*reversed(self.derived), *self.ids)

    def state_at(self, now_ms: int) -> State:
        """ACTIVE only if the key and every ancestor are. Otherwise the nearest obstacle, the key's own first."""
        states = [key.state_at(now_ms) for key in self.line]
        ended = State.EXPIRED if now_ms >= self.expires_at_ms else State.ACTIVE
        return next((state for state in states if state is not State.ACTIVE), ended)


_grant = lru_cache(maxsize=4096)(Grant)
"""Many keys share a few sets of scopes."""
