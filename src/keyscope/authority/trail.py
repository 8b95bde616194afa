"""The audit trail: what is written down of changes and of judging, and the port that keeps it.

Changes and denials are *entries*, one after the other, each chained to the one before it. Allowed calls are *counts*:
how often each key called each operation in each minute. Once a minute is over an entry seals its counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from msgspec import Struct

from keyscope.authority.checkpoint import Checkpoint, Signer
from keyscope.model.event import EventKind
from keyscope.model.scope import Scope

MINUTE_MS = 60_000

DENIED = "call.denied"
OBSERVED = "call.observed"
SEALED = "counts.sealed"
BEGUN = "trail.begun"
CHECKPOINT = "trail.checkpoint"
PRUNED = "trail.pruned"

MOST_PATH = 256
"""Characters of a path that are kept."""


class Verdict(StrEnum):
    """What an entry is about: a change of keys, a call that was refused, or one that would have been."""

    CHANGED = "changed"
    DENIED = "denied"
    OBSERVED = "observed"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of entry that it stands for."""
        return _KINDS[self]


_KINDS: dict[Verdict, tuple[str, ...]] = {
    Verdict.CHANGED: tuple(kind.value for kind in EventKind),
    Verdict.DENIED: (DENIED,),
    Verdict.OBSERVED: (OBSERVED,),
}


def verdict_of(kind: str) -> Verdict | None:
    """What an entry of this kind is about; None for the trail's own."""
    return next((verdict for verdict in Verdict if kind in verdict.kinds), None)


class Attempt(Struct, frozen=True, kw_only=True):
    """A call as the door saw it. ``path`` has no query; ``peer`` is None where a proxy asks for somebody."""

    method: str | None = None
    path: str | None = None
    peer: str | None = None
    request_id: str | None = None


UNSEEN = Attempt()
"""An attempt of which nothing is known."""


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entry. ``number`` is 0 until it is written; they start at 1. ``at_ms`` is Unix milliseconds.

    ``kind`` is an EventKind's value or one of those above. ``event`` is the number of a change in the database's own
    record. ``chain`` is who acts: derived links, last first, the key, its ancestors, nearest first. ``code`` is that
    of the refusal, ``reasons`` why, ``missing`` the scopes lacked, in the short form. ``times`` counts equal calls
    that were written down together; their other members are the first one's. ``account_id`` and ``key_id`` are None
    where a call showed no key of ours.
    """

    number: int = 0
    at_ms: int
    kind: str
    account_id: str | None = None
    key_id: str | None = None
    chain: tuple[str, ...] = ()
    operation: str | None = None
    method: str | None = None
    path: str | None = None
    code: str | None = None
    reasons: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    peer: str | None = None
    request_id: str | None = None
    times: int = 1
    event: int | None = None
    changes: dict[str, object] = {}


class UseCount(Struct, frozen=True, kw_only=True):
    """How often a key was let through to an operation in the time that starts at ``minute_ms``.

    ``operation`` is None for what the policy does not list (standard keys reach it). ``needs`` are the scopes that
    the calls needed, those of their bodies included, sorted; so one operation may have several counts.
    """

    account_id: str
    key_id: str
    operation: str | None
    needs: tuple[Scope, ...]
    minute_ms: int
    calls: int


class Batch(Struct, frozen=True):
    """What is to be written down together."""

    entries: Sequence[Entry] = ()
    uses: Sequence[UseCount] = ()


class EntryQuery(Struct, frozen=True, kw_only=True):
    """Which entries: all conditions given must hold. Newest first, or with ``after`` oldest first.

    ``key_id`` is the key that it is about, or one anywhere in the chain; ``within`` asks the same of a set of keys.
    ``before`` and ``after`` are the number at which the page before ended. ``account_id`` None means every account's
    and nobody's.
    """

    account_id: str | None
    limit: int
    key_id: str | None = None
    within: tuple[str, ...] | None = None
    operation: str | None = None
    kind: str | None = None
    code: str | None = None
    verdict: Verdict | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    before: int | None = None
    after: int | None = None


class EntryPage(Struct, frozen=True):
    """One page."""

    items: tuple[Entry, ...]
    has_more: bool


class UseQuery(Struct, frozen=True, kw_only=True):
    """Which counts, added up per step of time. ``since_ms`` is included, ``until_ms`` is not.

    ``step_ms`` None adds up the whole time, and ``minute_ms`` of each count is then the first minute with a call.
    ``skip`` leaves out so many of the first counts.
    """

    account_id: str
    key_ids: tuple[str, ...] | None = None
    since_ms: int = 0
    until_ms: int | None = None
    step_ms: int | None = MINUTE_MS
    limit: int | None = None
    skip: int = 0


class Trail(Protocol):
    """Where it is kept. Every method may raise StoreUnavailable, and may be called from any thread."""

    def append(self, batch: Batch, now_ms: int) -> None:
        """Write down durably, all or nothing; seal the minutes that are over by ``now_ms``.

        Entries with an ``event`` that the trail has already are left out.
        """

    def entries(self, query: EntryQuery) -> EntryPage: ...

    def entry(self, number: int) -> Entry | None: ...

    def uses(self, query: UseQuery) -> list[UseCount]:
        """Sorted by time, key and operation."""

    def last_event(self) -> int:
        """The number of the last change that was copied from the database; 0 if none was."""

    def checkpoint(self, signer: Signer, now_ms: int, after_ms: int | None = None) -> Checkpoint | None:
        """Sign what is there, as an entry.

        With ``after_ms`` only if something came since the last one and that is so old; None otherwise. 0 is for an
        end, and seals the minute that is not over, too.
        """

    def prune(self, before_ms: int, now_ms: int) -> bool:
        """Drop a part of what is older, up to a checkpoint. Returns whether there may be more to drop."""

    def close(self) -> None: ...
