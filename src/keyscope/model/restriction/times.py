"""When a key may be used: not before a time, and in a window of the day by the clock of a place."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

from keyscope.model.access import Access
from keyscope.model.body import Json
from keyscope.model.objection import Objection, Reason
from keyscope.model.restriction.given import Given

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
LATEST_MS = 253_402_300_799_999
"""The last millisecond of the year 9999, Unix time."""
_TIME = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])", re.ASCII)
_DAY_MINUTES = 24 * 60


class NotBefore(Struct, frozen=True):
    """``at_ms`` is Unix milliseconds."""

    at_ms: int

    def objection(self, access: Access, holder: str) -> Objection | None:
        return None if access.now_ms >= self.at_ms else Objection(*_TOO_EARLY, holder)


class Window(Struct, frozen=True, kw_only=True, cache_hash=True):
    """From and to are minutes of the day, by the clock of ``timezone``; ``to`` itself is outside.

    A window that ends before it begins goes over midnight, and belongs to the day on which it begins. ``days`` are
    numbers from Monday's 0; None: every day.
    """

    start: int
    end: int
    timezone: str
    days: tuple[int, ...] | None = None

    @classmethod
    def read(cls, given: Given) -> Window | None:
        members = given.members(("from", "to", "timezone", "days"))
        for name in ("from", "to", "timezone"):
            if isinstance(given.value, dict) and name not in given.value:
                given.fault(f"{name} is missing: add it")
        start, end = (_minutes(members[name]) if name in members else None for name in ("from", "to"))
        zone = _timezone(members["timezone"]) if "timezone" in members else None
        days = members["days"].words(len(DAYS), _day) if "days" in members else None
        if start is None or end is None or zone is None:
            return None
        if start in (end, _DAY_MINUTES):
            given.fault("from and to are the same time: leave the window out, or write 00:00 to 24:00 for whole days")
            return None
        return cls(start=start, end=end, timezone=zone, days=days)

    @property
    def plain(self) -> Json:
        found: dict[str, Json] = {"from": _clock(self.start), "to": _clock(self.end), "timezone": self.timezone}
        return found if self.days is None else {"days": [DAYS[day] for day in self.days], **found}

    def holds(self, now_ms: int) -> bool:
        return _holds(self, now_ms // 60_000)

    def holds_at(self, local: datetime) -> bool:
        """Whether it is within the window when the clock of its place shows this."""
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.start < self.end:
            return self.start <= minute < self.end and self._is_on(day)
        return (minute >= self.start and self._is_on(day)) or (minute < self.end and self._is_on((day - 1) % 7))

    def _is_on(self, day: int) -> bool:
        return self.days is None or day in self.days

    def objection(self, access: Access, holder: str) -> Objection | None:
        return None if self.holds(access.now_ms) else Objection(*_OUTSIDE, holder)


@lru_cache(maxsize=1024)
def _holds(window: Window, minute: int) -> bool:
    """The same for a whole minute since 1970: clocks everywhere are whole minutes apart."""
    return window.holds_at(datetime.fromtimestamp(minute * 60, ZoneInfo(window.timezone)))


_TOO_EARLY = (
    Reason.TOO_EARLY,
    "The key may not be used yet.",
    "Wait until its not_before_ms, which GET /keyscope/me shows.",
)
_OUTSIDE = (
    Reason.OUTSIDE_WINDOW,
    "The key may be used only at certain times of the day, and this is not one.",
    "Wait for its window, which GET /keyscope/me shows.",
)


def _minutes(given: Given) -> int | None:
    found = _TIME.fullmatch(given.value) if isinstance(given.value, str) else None
    minutes = int(found[1]) * 60 + int(found[2]) if found is not None else _DAY_MINUTES + 1
    if minutes <= _DAY_MINUTES:
        return minutes
    given.fault("send a time of the day as HH:MM, from 00:00 to 24:00")
    return None


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _timezone(given: Given) -> str | None:
    name = given.text()
    try:
        return ZoneInfo(name).key if name is not None else None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        given.fault("there is no such time zone: send a name like Europe/Berlin, or UTC")
        return None


def _day(given: Given) -> int | None:
    if isinstance(given.value, str) and given.value in DAYS:
        return DAYS.index(given.value)
    given.fault(f"send one of {', '.join(DAYS)}")
    return None
