"""What HAProxy has let through, exactly: its table counts by key, call and minute, and is read every half second.

An entry outlives its minute, and nothing is added to it after that, so a number that HAProxy has forgotten never begins
anew. What was read before is subtracted.
"""

from __future__ import annotations

from collections.abc import Mapping

from keyscope.authority.trail import MINUTE_MS, UseCount
from keyscope.gate.haproxy.entries import holder_of
from keyscope.gate.haproxy.routes import Row
from keyscope.gate.haproxy.runtime import Runtime

_SLACK_S = 2
"""What was called in the second of the last reading, or while it went on, is read again."""
_KEPT_MS = 3 * MINUTE_MS


class Calls:
    """Of one HAProxy process. ``rows`` are the calls that it judges, by what they need."""

    def __init__(self, rows: Mapping[int, Row]) -> None:
        self._rows = rows
        self._seen: dict[str, int] = {}
        self._since_s = 0
        self.used_at_ms: dict[str, int] = {}
        """When keys were last used, in Unix milliseconds, for the reader to take away. HAProxy says the second: it is
        taken for the end of it, so that what was there before the use was there before this time, too."""

    async def skip(self, runtime: Runtime, now_ms: int) -> None:
        """Leave out what the process has counted before somebody could read it: that was a feeder before us."""
        if not self._since_s:
            await self.read(runtime, now_ms)
            self.used_at_ms = {}

    async def read(self, runtime: Runtime, now_ms: int) -> list[UseCount]:
        """What is new since the last time. Raises Away; then it is new the next time."""
        found = await runtime.calls(self._since_s)
        self._since_s = now_ms // 1000 - _SLACK_S
        counts = [self._new(what, min(at_s * 1000 + 999, now_ms), calls) for what, at_s, calls in found]
        self._forget(now_ms)
        return [count for count in counts if count is not None and count.calls]

    def _new(self, what: str, at_ms: int, calls: int) -> UseCount | None:
        holder, needs, minute = what.rsplit(":", 2)
        row = self._rows.get(int(needs))
        if row is None:
            return None
        key_id, account_id = holder_of(holder)
        self.used_at_ms[key_id] = max(at_ms, self.used_at_ms.get(key_id, 0))
        new, self._seen[what] = calls - self._seen.get(what, 0), calls
        needed = tuple(sorted(row.scopes, key=str))
        minute_ms = int(minute) * MINUTE_MS
        return UseCount(
            account_id=account_id, key_id=key_id, operation=row.operation, needs=needed, minute_ms=minute_ms, calls=new
        )

    def _forget(self, now_ms: int) -> None:
        """Of minutes that are long over."""
        oldest = (now_ms - _KEPT_MS) // MINUTE_MS
        if self._seen and int(next(iter(self._seen)).rpartition(":")[2]) < oldest:
            self._seen = {what: calls for what, calls in self._seen.items() if int(what.rpartition(":")[2]) >= oldest}
