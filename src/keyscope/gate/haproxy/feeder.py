"""Keeps HAProxy true: tells it what has changed, and renews its leave to judge alone.

The leave lasts two seconds, one at a node, or less, and is renewed only after everything that was committed before has
been told. So a HAProxy that the feeder cannot reach, or whose feeder has died, asks Keyscope about everything before
long, and whoever waits for a change to be told, waits at most as long (``confirm``). The time is that of a clock that
never goes backwards: if HAProxy's clock is set back, its leave seems too long to it, and it asks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from keyscope.authority.copying import Keys, Point
from keyscope.authority.ports import Clock
from keyscope.errors import KeyscopeError
from keyscope.gate.followers import BOUND_MS
from keyscope.gate.haproxy.bits import Bits
from keyscope.gate.haproxy.files import NO_MAPS
from keyscope.gate.haproxy.news import News, news
from keyscope.gate.haproxy.process import Process, connected
from keyscope.gate.haproxy.record import Record
from keyscope.gate.haproxy.runtime import Away

log = logging.getLogger(__name__)

TICK_S = 0.05
_TICKS = 8
"""So often at least within the longest leave."""
_LOOK_MS = 250
MOST_TOLD = 5_000
"""So many keys that have changed, and new maps are worth a reload: HAProxy asks about each of these keys."""


class Feeder:
    """Feeds all processes of one HAProxy. ``on_too_much`` is called when new maps are wanted.

    While ``record`` cannot write down what HAProxy does, HAProxy asks about everything.
    """

    def __init__(
        self,
        keys: Keys,
        bits: Bits,
        socket: Path,
        maps: Path,
        clock: Clock,
        record: Record,
        on_too_much: Callable[[], None],
    ) -> None:
        self._keys = keys
        self._bits = bits
        self._socket = socket
        self._maps = maps
        self._clock = clock
        self._record = record
        self._on_too_much = on_too_much
        self._fed: list[Process] = []
        self._lock = asyncio.Lock()
        self._slack_ms = BOUND_MS - keys.longest_ms
        """By so much, of what whoever waits has patience for, a clock that is set back may lengthen a leave."""
        self._unreached_until_ms = clock.now_ms() + keys.longest_ms
        """Until then a process that we cannot reach, perhaps one of a feeder before us, may judge alone."""
        self._look_at_ms = 0
        self._tick_s = min(TICK_S, keys.longest_ms / _TICKS / 1000)

    async def follow(self) -> None:
        """Feed until cancelled."""
        while True:
            try:
                async with self._lock:
                    await self._feed()
            except KeyscopeError as error:
                log.error("HAProxy is not fed, and asks about everything: %s", error.detail)
            await asyncio.sleep(self._tick_s)

    async def confirm(self) -> None:
        """Returns when no HAProxy process judges alone by anything older than what is committed now.

        Raises StoreUnavailable if that cannot be known.
        """
        async with self._lock:
            await self._feed()
            unreached_until_ms = self._unreached_until_ms
        left_ms = unreached_until_ms - self._clock.now_ms()
        if left_ms > 0:
            await asyncio.sleep(left_ms / 1000)

    def has_fed_since(self, point: Point) -> bool:
        """Whether the newest process started with maps that are true at least up to this point."""
        began = [fed.began_at for fed in self._fed if not fed.is_old]
        return any(at.sequence == point.sequence and at.number >= point.number for at in began)

    async def rest(self) -> None:
        """Take the leave back before a reload: a process that is to end forgets what it has counted.

        The processes that are there now get none again until ``wake``; the next one gets its own.
        """
        async with self._lock:
            for fed in list(self._fed):
                fed.rests = True
            await self._feed_all()

    def wake(self) -> None:
        """After a reload, also if it failed: who is still there goes on."""
        for fed in self._fed:
            fed.rests = False

    async def stop(self) -> None:
        """Take the leave back and let go."""
        async with self._lock:
            for fed in list(self._fed):
                fed.is_old = True
            await self._feed_all()

    async def _feed(self) -> None:
        await self._find_process()
        await self._feed_all()

    async def _feed_all(self) -> None:
        for fed in list(self._fed):
            try:
                if fed.is_old:
                    await self._let_go(fed)
                else:
                    await self._bring_up_to_date(fed)
            except Away as error:
                self._lose(fed, error)

    async def _bring_up_to_date(self, fed: Process) -> None:
        if fed.rests or not self._record.works():
            return await self._take_back(fed)
        if fed.point.number == NO_MAPS:
            return self._on_too_much()
        # The time before the leave, so that standing still between the two makes it shorter; the leave before the keys.
        now_ms = self._clock.now_ms()
        leave_ms = self._keys.leave_ms()
        told = self._keys.read(lambda reader: news(reader, fed.point, self._bits, now_ms))
        if told.too_much:
            await self._take_back(fed)
            return self._on_too_much()
        await self._tell(fed, told)
        if told.point != fed.point or _is_due(fed, now_ms, leave_ms):
            until_ms = now_ms + leave_ms if leave_ms > 0 else 0
            fed.until_ms = max(until_ms, fed.until_ms)  # before it is sent: it may arrive although the answer does not
            await fed.runtime.renew(until_ms, told.point)
            fed.until_ms, fed.point = until_ms, told.point
        if fed.told > MOST_TOLD:
            self._on_too_much()
        return None

    async def _tell(self, fed: Process, told: News) -> None:
        # New keys first: one that was minted and has changed since is then asked about.
        await fed.runtime.add_keys(told.keys)
        await fed.runtime.add_asked(told.asked)
        fed.told += len(told.asked)

    async def _take_back(self, fed: Process) -> None:
        if fed.until_ms:
            await fed.runtime.stop_judging()
            fed.until_ms = 0

    async def _let_go(self, fed: Process) -> None:
        """Of a process whose place another one has taken, or will take: it asks Keyscope until it ends."""
        await self._take_back(fed)
        self._fed.remove(fed)
        fed.is_leaving = True

    async def _find_process(self) -> None:
        """Get hold of the process behind the socket, if it is not one that we know."""
        now_ms = self._clock.now_ms()
        if now_ms < self._look_at_ms:
            return None
        self._look_at_ms = now_ms + _LOOK_MS
        try:
            fed = await self._newcomer()
        except Away as error:
            return log.debug("HAProxy is not there: %s", error)
        if fed is not None:
            for before in self._fed:
                before.is_old = True
            self._fed.append(fed)
        return None

    async def _newcomer(self) -> Process | None:
        """The process behind the socket; None if it is one that we know. What it does is recorded from here on."""
        identity, [runtime] = await connected(self._socket, self._maps, 1)
        runtime.close()
        if any(fed.identity == identity for fed in self._fed):
            return None
        identity, [runtime, counted, heard] = await connected(self._socket, self._maps, 3)
        fed = Process(runtime, counted, identity, await runtime.point(), self._record.calls_of(identity))
        await fed.calls.skip(counted, self._clock.now_ms())
        self._record.begin(fed, heard)
        return fed

    def _lose(self, fed: Process, error: Away) -> None:
        if not fed.is_old:
            log.warning("HAProxy cannot be told of changes, and asks about everything before long: %s", error)
        self._fed.remove(fed)
        fed.is_leaving = True
        self._unreached_until_ms = max(self._unreached_until_ms, fed.until_ms + self._slack_ms)


def _is_due(fed: Process, now_ms: int, leave_ms: int) -> bool:
    """Whether a quarter of its leave is over, or it has one that it may not have any more."""
    return bool(fed.until_ms) if leave_ms <= 0 else fed.until_ms - now_ms < leave_ms * 3 // 4
