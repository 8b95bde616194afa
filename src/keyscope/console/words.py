"""Times and numbers as people read them. All times shown are UTC."""

from __future__ import annotations

from datetime import UTC, datetime

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

_UNITS = ((365 * DAY_MS, "y"), (DAY_MS, "d"), (HOUR_MS, "h"), (MINUTE_MS, "min"), (SECOND_MS, "s"))


def moment(at_ms: int) -> str:
    """``2026-11-25 03:12:09 UTC``, from Unix milliseconds."""
    return _utc(at_ms).strftime("%Y-%m-%d %H:%M:%S UTC")


def clock(at_ms: int) -> str:
    """``03:12:09``, for long lists."""
    return _utc(at_ms).strftime("%H:%M:%S")


def day(at_ms: int) -> str:
    """``25 Nov``."""
    return _utc(at_ms).strftime("%d %b")


def iso(at_ms: int) -> str:
    """The same for programs (RFC 3339)."""
    return _utc(at_ms).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(length_ms: int) -> str:
    """``2 d``, ``7 h``, ``40 s``: the largest unit that is not zero, cut off."""
    for unit_ms, word in _UNITS:
        if length_ms >= unit_ms:
            return f"{length_ms // unit_ms} {word}"
    return "0 s"


def relative(at_ms: int, now_ms: int) -> str:
    """``3 h ago``, ``in 2 d``, ``just now``."""
    away_ms = at_ms - now_ms
    if abs(away_ms) < SECOND_MS:
        return "just now"
    return f"in {span(away_ms)}" if away_ms > 0 else f"{span(-away_ms)} ago"


def count(number: int, noun: str) -> str:
    """``1 key``, ``12,000 keys``."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(words: list[str]) -> str:
    """``a, b and c``."""
    return " and ".join([", ".join(words[:-1]), words[-1]]) if len(words) > 1 else "".join(words)


def _utc(at_ms: int) -> datetime:
    return datetime.fromtimestamp(at_ms / 1000, UTC)
