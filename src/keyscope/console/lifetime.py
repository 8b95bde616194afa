"""When a key is to end, from a form: a length of time from now, a moment, or never."""

from __future__ import annotations

from datetime import UTC, datetime

from keyscope.console.kit import Form
from keyscope.console.words import DAY_MS, HOUR_MS
from keyscope.errors import BadRequest, Fault

NEVER = "never"
AT = "at"
KEEP = "keep"
LENGTHS = {
    "1h": (HOUR_MS, "1 hour"),
    "8h": (8 * HOUR_MS, "8 hours"),
    "1d": (DAY_MS, "1 day"),
    "7d": (7 * DAY_MS, "7 days"),
    "30d": (30 * DAY_MS, "30 days"),
    "90d": (90 * DAY_MS, "90 days"),
}
DEFAULT = "8h"


def read_expiry(form: Form, now_ms: int) -> int | None:
    """The end (Unix milliseconds), None for never. Raises BadRequest."""
    word = form.get("expires", NEVER)
    if word == NEVER:
        return None
    if word in LENGTHS:
        return now_ms + LENGTHS[word][0]
    if word == AT:
        return _moment(form.get("expires_at", ""))
    raise BadRequest("expiry", [Fault("expires", "choose one of the times offered")])


def _moment(text: str) -> int:
    """What ``datetime-local`` sends, taken as UTC."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest("expiry", [Fault("expires_at", "give a date and time, like 2027-01-31T12:00")]) from None
    return int(at.replace(tzinfo=UTC).timestamp() * 1000)
