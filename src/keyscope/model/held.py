"""A call that waits for somebody to approve it, or for a time to pass: what becomes of it, and what is known of it."""

from __future__ import annotations

from enum import StrEnum
from hashlib import sha256

from msgspec import Struct

from keyscope.model.key import Lineage
from keyscope.model.operation import Route
from keyscope.model.restriction.calls import Hold


class HeldState(StrEnum):
    """Where a held call stands. It goes on from HELD, APPROVED and RUNNING alone."""

    HELD = "held"
    APPROVED = "approved"
    """It is about to be judged once more, and sent."""
    RUNNING = "running"
    """It is being sent. Nobody sends it again, whatever happens now."""
    DONE = "done"
    """It was sent, and the API answered."""
    REFUSED = "refused"
    CANCELLED = "cancelled"
    """By the key that made the call, or one above it."""
    EXPIRED = "expired"
    """Nobody approved it in time."""
    DENIED = "denied"
    """When it was to be sent, the key could no longer make the call."""
    FAILED = "failed"
    """It was not sent, because the API, or what judges it, could not be reached."""
    UNKNOWN = "unknown"
    """It was being sent when something broke: the API may or may not have done it."""

    @property
    def is_final(self) -> bool:
        return self not in (HeldState.HELD, HeldState.APPROVED, HeldState.RUNNING)


class Terms(Struct, frozen=True):
    """How long a call is held: until somebody approves it, at most so many milliseconds; or, delayed, so long."""

    wait_ms: int
    is_delay: bool


class Held(Struct, frozen=True, kw_only=True):
    """A held call. Times are Unix milliseconds; ``due_at_ms`` is when something is to be done about it next.

    ``target`` is path and query as they came; ``digest`` is that of method, target and body. ``sealed`` is the request,
    and ``answer`` what the API answered, both encrypted for the server (authority/holds.py); ``key_mark`` says with
    which key, empty if an earlier version did it. ``links``, ``scopes``,
    ``ends_at_ms`` and ``bounds`` (the id of a link and its restrictions, as text) are what a derived key had when it
    called. ``decided_by`` is a key's id.
    """

    id: str
    account_id: str
    key_id: str
    state: HeldState
    operation: str
    method: str
    target: str
    digest: bytes
    created_at_ms: int
    acts_at_ms: int
    """The deadline, or the time at which it goes on by itself."""
    is_delay: bool
    due_at_ms: int
    sealed: bytes
    request_id: str | None = None
    links: tuple[str, ...] = ()
    scopes: tuple[str, ...] | None = None
    ends_at_ms: int | None = None
    bounds: tuple[tuple[str, str], ...] = ()
    decided_by: str | None = None
    decided_at_ms: int | None = None
    reason: str | None = None
    ended_at_ms: int | None = None
    status: int | None = None
    """The HTTP status of the API's answer."""
    answer: bytes | None = None
    key_mark: str = ""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


def terms_of(lineage: Lineage, route: Route | None) -> Terms | None:
    """How the restrictions of a line hold such a call; None if none does.

    Whoever asks wins over whoever only waits; of several, the shortest deadline and the longest delay count.
    """
    holds = [bound.restrictions.hold for bound in lineage.bounds]
    covering = [hold for hold in holds if hold is not None and hold.covers(route)]
    deadlines = [hold.deadline_ms for hold in covering if hold.deadline_ms is not None]
    if deadlines:
        return Terms(min(deadlines), is_delay=False)
    return Terms(max(_delays(covering)), is_delay=True) if covering else None


def _delays(holds: list[Hold]) -> list[int]:
    return [hold.delay_ms or 0 for hold in holds]


def digest_of(method: str, target: str, body: bytes) -> bytes:
    """What an approval is for: SHA-256 of method, target and body, a zero byte between them."""
    return sha256(b"\0".join((method.encode(), target.encode(), body))).digest()
