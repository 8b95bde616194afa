"""Why a request is denied, and what a restriction says when it objects."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Reason(StrEnum):
    """Why a request is denied. Append-only: callers match on them."""

    EXPIRED = "expired"
    SUSPENDED = "suspended"
    REVOKED = "revoked"
    NOT_IN_POLICY = "not_in_policy"
    MISSING_SCOPE = "missing_scope"
    NARROWED = "narrowed"
    """Beside MISSING_SCOPE: a key of the line had the scopes before it was narrowed to what it uses."""
    OTHER_INSTANCE = "other_instance"
    NOT_OWN = "not_own"
    OTHER_ADDRESS = "other_address"
    TOO_EARLY = "too_early"
    OUTSIDE_WINDOW = "outside_window"
    OPERATION_DENIED = "operation_denied"
    USES_SPENT = "uses_spent"
    RATE_EXCEEDED = "rate_exceeded"
    TOO_MANY_PARALLEL = "too_many_parallel"
    NOT_SEEN = "not_seen"
    """A restriction looks at something that this gate, or whoever asks, does not see."""


class Objection(Struct, frozen=True):
    """What a restriction of the key ``holder`` has against a call.

    ``message`` and ``remedy`` are sentences of the restriction's own: nothing of the request is in them. ``hides``:
    the thing asked for is answered as if it did not exist. ``wait_ms`` is after how many milliseconds the same call may
    pass, if it is only a matter of time.
    """

    reason: Reason
    message: str
    remedy: str
    holder: str = ""
    hides: bool = False
    wait_ms: int | None = None
