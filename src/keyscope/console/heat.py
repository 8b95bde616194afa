"""When a key was used: its calls of two weeks, by day and hour, as a map whose colour is told by numbers too."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from math import log1p

from msgspec import Struct

from keyscope.authority.trail import UseCount
from keyscope.console.words import DAY_MS, HOUR_MS

DAYS = 14
LEVELS = 5


class Cell(Struct, frozen=True):
    """One hour. ``level`` is 0 for no call, else 1 to 5, by the logarithm."""

    hour: int
    calls: int
    level: int


class Day(Struct, frozen=True):
    """One day (UTC) and its hours."""

    name: str
    date: str
    cells: tuple[Cell, ...]

    @property
    def calls(self) -> int:
        return sum(cell.calls for cell in self.cells)


class Heat(Struct, frozen=True):
    """The map, the newest day last."""

    days: tuple[Day, ...]
    total: int


def since_ms(now_ms: int) -> int:
    """Where the map begins (Unix milliseconds)."""
    return now_ms - now_ms % DAY_MS - (DAYS - 1) * DAY_MS


def heat(counts: Iterable[UseCount], now_ms: int) -> Heat:
    """From counts by hour."""
    hours: Counter[int] = Counter()
    for count in counts:
        hours[count.minute_ms // HOUR_MS] += count.calls
    most = max(hours.values(), default=0)
    first = since_ms(now_ms)
    days = tuple(_day(first + number * DAY_MS, hours, most) for number in range(DAYS))
    return Heat(days, sum(day.calls for day in days))


def _day(start_ms: int, hours: Counter[int], most: int) -> Day:
    at = datetime.fromtimestamp(start_ms / 1000, UTC)
    calls = [hours[start_ms // HOUR_MS + hour] for hour in range(24)]
    cells = tuple(Cell(hour, number, _level(number, most)) for hour, number in enumerate(calls))
    return Day(at.strftime("%a %d %b"), at.strftime("%Y-%m-%d"), cells)


def _level(calls: int, most: int) -> int:
    return 0 if calls == 0 else max(1, round(LEVELS * log1p(calls) / log1p(most)))
