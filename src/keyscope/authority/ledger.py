"""What the hot path collects for the audit trail, in memory, until it is taken away to be written.

Every allowed call is counted, exactly. Denials are kept one by one as long as they are few; a flood of them is kept as
equal ones with their number, and a flood of different ones by code alone, so that a hostile caller fills neither the
memory nor the disk. Used from one thread, the one that judges.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from keyscope.authority.refusing import error_of
from keyscope.authority.trail import DENIED, MINUTE_MS, MOST_PATH, UNSEEN, Attempt, Batch, Entry, UseCount
from keyscope.model.decision import Allow, Deny
from keyscope.model.key import Lineage
from keyscope.model.operation import Route
from keyscope.model.scope import Scope
from keyscope.model.shown import shown

MOST_APART = 250
"""Denials that are kept one by one between two takings."""
MOST_EQUAL = 10
"""Of these such as have the same key, operation, code and peer."""
MOST_KINDS = 250
"""Further ones that differ in one of the four; what is beyond is counted by code."""
MOST_PEERS = 25
"""The same for calls that showed no key of ours, which differ in code and peer."""

_Place = tuple[object, ...]


class _Calls:
    """Equal calls within one minute: the first of them, and how many."""

    __slots__ = ("calls", "first", "last_ms", "needs", "route")

    def __init__(self, first: Allow, route: Route | None, needs: tuple[Scope, ...]) -> None:
        self.first = first
        self.route = route
        self.needs = needs
        self.calls = 1
        self.last_ms = first.access.now_ms


_Minutes = list[tuple[int, dict[_Place, _Calls]]]


class Taken(Struct, frozen=True):
    """What was collected. To make something of it takes time, so that is for another thread."""

    minutes: _Minutes
    counted: list[UseCount]
    denials: list[Entry]

    def batch(self) -> Batch:
        """What is to be written."""
        counts = [_count(minute, seen) for minute, calls in self.minutes for seen in calls.values()]
        return Batch(sorted(self.denials, key=lambda entry: entry.at_ms), _added([*self.counted, *counts]))

    def used_at_ms(self) -> dict[str, int]:
        """When each key was last used, in Unix milliseconds."""
        last: dict[str, int] = {}
        for _, calls in self.minutes:
            for seen in calls.values():
                key_id = seen.first.lineage.key.id
                last[key_id] = max(last.get(key_id, 0), seen.last_ms)
        return last


class Ledger:
    """Collects for one process."""

    def __init__(self) -> None:
        self._calls: dict[_Place, _Calls] = {}
        self._over: _Minutes = []
        self._minute = 0
        self._next_ms = 0
        self._counted: list[UseCount] = []
        self._apart: list[Entry] = []
        self._equal: dict[_Place, int] = {}
        self._together: dict[_Place, Entry] = {}
        self._nobodys: dict[_Place, Entry] = {}

    def allowed(self, allow: Allow) -> None:
        """Count a call that was let through, with all that it needed."""
        access = allow.access
        now_ms = access.now_ms
        if now_ms >= self._next_ms:
            self._turn(now_ms)
        route, needs = access.route, access.needs
        if route is None or needs is route.needs:
            place: _Place = (allow.lineage.key.id, route)
        else:
            place = (allow.lineage.key.id, route, needs)
        seen = self._calls.get(place)
        if seen is None:
            self._calls[place] = _Calls(allow, route, needs)
        else:
            seen.calls += 1
            seen.last_ms = now_ms

    def denied(self, deny: Deny, attempt: Attempt = UNSEEN, kind: str = DENIED) -> None:
        """Keep a call that was refused; ``kind`` OBSERVED for one that would have been."""
        reasons, missing = tuple(reason.value for reason in deny.reasons), tuple(map(str, deny.missing))
        access = deny.access
        entry = _refusal(deny.lineage, access.route, attempt, kind=kind, at_ms=access.now_ms, code=error_of(deny).code)
        self.add(replace(entry, reasons=reasons, missing=missing))

    def forbidden(self, code: str, lineage: Lineage, route: Route | None, attempt: Attempt, now_ms: int) -> None:
        """Keep a management call that the policy allows and the authority does not."""
        self.add(_refusal(lineage, route, attempt, kind=DENIED, at_ms=now_ms, code=code))

    def refused(self, code: str, attempt: Attempt, now_ms: int) -> None:
        """Keep a call that showed no key of ours, or none at all. Equal ones are kept together."""
        entry = _of_attempt(Attempt(peer=attempt.peer), at_ms=now_ms, kind=DENIED, code=code)
        _add_together(self._nobodys, entry, MOST_PEERS)

    def add(self, entry: Entry) -> None:
        """Keep a denial that is put together already: also for engines that judge outside of this process."""
        place = _place(entry)
        equal = self._equal.get(place, 0)
        if equal < MOST_EQUAL and len(self._apart) < MOST_APART:
            self._equal[place] = equal + 1
            self._apart.append(entry)
        else:
            _add_together(self._together, entry, MOST_KINDS)

    def add_calls(self, count: UseCount) -> None:
        """Add calls that an engine outside of this process has let through and counted."""
        self._counted.append(count)

    def take(self) -> Taken:
        """What was collected since the last time, for the caller alone."""
        denials = [*self._apart, *self._together.values(), *self._nobodys.values()]
        taken = Taken([*self._over, (self._minute, self._calls)], self._counted, denials)
        self._calls, self._over, self._counted, self._apart = {}, [], [], []
        self._equal, self._together, self._nobodys = {}, {}, {}
        return taken

    def _turn(self, now_ms: int) -> None:
        """A new minute begins."""
        if self._calls:
            self._over.append((self._minute, self._calls))
            self._calls = {}
        self._minute = now_ms - now_ms % MINUTE_MS
        self._next_ms = self._minute + MINUTE_MS


def _place(entry: Entry) -> _Place:
    return entry.key_id, entry.operation, entry.code, entry.peer, entry.kind


def _add_together(known: dict[_Place, Entry], entry: Entry, most: int) -> None:
    """Add to the equal ones; beyond ``most`` different ones to those with the same code."""
    place = _place(entry)
    seen = known.get(place)
    if seen is None and len(known) >= most:
        entry = Entry(at_ms=entry.at_ms, kind=entry.kind, code=entry.code, times=entry.times)
        place = _place(entry)
        seen = known.get(place)
    known[place] = entry if seen is None else replace(seen, times=seen.times + entry.times)


def _refusal(lineage: Lineage, route: Route | None, attempt: Attempt, *, kind: str, at_ms: int, code: str) -> Entry:
    key = lineage.key
    return _of_attempt(
        attempt,
        at_ms=at_ms,
        kind=kind,
        account_id=key.account_id,
        key_id=key.id,
        chain=lineage.chain,
        operation=_operation(route),
        code=code,
    )


def _operation(route: Route | None) -> str | None:
    return (route.id or None) if route is not None else None


def _of_attempt(attempt: Attempt, **members: object) -> Entry:
    return Entry(
        method=attempt.method,
        path=shown(attempt.path, MOST_PATH) if attempt.path is not None else None,
        peer=attempt.peer or None,
        request_id=attempt.request_id,
        **members,  # type: ignore[arg-type]  # by name, each of its own type
    )


def _count(minute: int, seen: _Calls) -> UseCount:
    key = seen.first.lineage.key
    return UseCount(
        account_id=key.account_id,
        key_id=key.id,
        operation=_operation(seen.route),
        needs=tuple(sorted(seen.needs, key=str)),
        minute_ms=minute,
        calls=seen.calls,
    )


def _added(counts: list[UseCount]) -> list[UseCount]:
    """Counts of the same calls as one."""
    sums: dict[UseCount, int] = {}
    for count in counts:
        same = replace(count, calls=0)
        sums[same] = sums.get(same, 0) + count.calls
    return [replace(same, calls=calls) for same, calls in sums.items()]
