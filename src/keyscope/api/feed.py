"""What was committed, for those who follow it: one look at the store's stamp serves all streams of a process.

While somebody follows, a task looks at the stamp every two milliseconds, and reads the database only when there was a
commit, by whichever process of the host. While nobody follows, nothing runs. What was read lately is kept, so that a
commit costs one reading and not one for each stream; a stream that is further behind reads for itself. Streams keep
their own place in the one sequence and nothing is buffered for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile

from msgspec import Struct

from keyscope.authority.ports import Clock, Index, Reader, Store, StoredEvent
from keyscope.errors import TooManyStreams, Unavailable

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.002
PAGE = 500
KEPT = 4096
MOST_STREAMS = 256
MOST_OF_ONE_ACCOUNT = 64
"""Of one process. One account cannot take all places, so that nobody else's followers are shut out by it alone."""


_NOTHING_YET = -1


class News(Struct, frozen=True):
    """An account's events, and up to which number of the sequence they are all of them.

    ``at_ms`` is a time (Unix milliseconds) at which nothing beyond ``number`` had been committed; None when there is
    more to read.
    """

    events: tuple[StoredEvent, ...]
    number: int
    at_ms: int | None


class Feed:
    """Used from the thread that serves, like the index whose stamp it looks at."""

    def __init__(self, store: Store, index: Index, clock: Clock) -> None:
        self._read = store.read
        self._stamp = index.stamp
        self._now_ms = clock.now_ms
        self._places: Counter[str] = Counter()
        self._looking: asyncio.Task[None] | None = None
        self._woken: dict[str, asyncio.Future[None]] = {}
        self._fault: Unavailable | None = None
        self._closed = False
        self._recent: deque[StoredEvent] = deque()
        self._start = self._number = _NOTHING_YET
        """``_recent`` has every event with a number above the first, up to the second."""
        self._at_ms = 0
        """A time at which there was nothing beyond ``_number``."""

    @contextmanager
    def place(self, account_id: str) -> Iterator[None]:
        """A place for one stream. Raises TooManyStreams, and Unavailable once the server stops."""
        if self._closed:
            raise Unavailable("the server stops")
        if self._places.total() >= MOST_STREAMS or self._places[account_id] >= MOST_OF_ONE_ACCOUNT:
            raise TooManyStreams(f"{self._places.total()} streams, {self._places[account_id]} of this account")
        self._places[account_id] += 1
        try:
            yield
        finally:
            self._places[account_id] -= 1
            if not self._places[account_id]:
                del self._places[account_id]

    async def last_number(self) -> int:
        """The number of the newest event, at some time after the call. Raises Unavailable."""
        return await asyncio.to_thread(self._read, lambda reader: reader.last_number())

    def woken(self, account_id: str) -> asyncio.Future[None]:
        """Done at the account's next event, a fault or the end. To be had before ``after`` is asked."""
        if self._looking is None or self._looking.done():
            self._begin()
        if account_id not in self._woken:
            self._woken[account_id] = asyncio.get_running_loop().create_future()
        return self._woken[account_id]

    async def after(self, account_id: str, number: int) -> News:
        """What the account's followers that have everything up to ``number`` do not have yet. Raises Unavailable."""
        if self._closed or self._fault is not None:
            raise self._fault or Unavailable("the server stops")
        if not self._start <= number <= self._number:
            return await asyncio.to_thread(self._read, lambda reader: _page(reader, account_id, number))
        newer = takewhile(lambda stored: stored.number > number, reversed(self._recent))
        own = [stored for stored in newer if stored.event.account_id == account_id]
        return News(tuple(reversed(own)), self._number, self._at_ms)

    def close(self) -> None:
        """End all streams: the server stops."""
        self._closed = True
        self._wake_all()

    def _begin(self) -> None:
        """Know nothing, until the first look: what was known may be long ago."""
        self._fault = None
        self._start = self._number = _NOTHING_YET
        self._recent.clear()
        self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        """Until nobody follows any more."""
        seen: object = None
        try:
            while self._places and not self._closed:
                at_ms, stamp = self._now_ms(), self._stamp()
                if stamp != seen or self._number == _NOTHING_YET:
                    await self._catch_up()
                    seen = stamp
                self._at_ms = at_ms
                await asyncio.sleep(LOOK_EVERY_S)
        except Exception as error:
            log.error("the changes cannot be followed", exc_info=error)
            self._fault = error if isinstance(error, Unavailable) else Unavailable(type(error).__name__)
            self._wake_all()

    async def _catch_up(self) -> None:
        if self._number == _NOTHING_YET:
            self._start = self._number = await self.last_number()
            return
        more = True
        while more:
            page = await asyncio.to_thread(self._read, lambda reader: reader.changes(after=self._number, limit=PAGE))
            more = len(page) == PAGE
            self._take(page)

    def _take(self, page: Sequence[StoredEvent]) -> None:
        self._recent.extend(page)
        self._number = page[-1].number if page else self._number
        while len(self._recent) > KEPT:
            self._start = self._recent.popleft().number
        for account_id in {stored.event.account_id for stored in page}:
            self._wake(account_id)

    def _wake(self, account_id: str) -> None:
        woken = self._woken.pop(account_id, None)
        if woken is not None and not woken.done():
            woken.set_result(None)

    def _wake_all(self) -> None:
        for account_id in list(self._woken):
            self._wake(account_id)


def _page(reader: Reader, account_id: str, number: int) -> News:
    events = tuple(reader.events(account_id, after=number, limit=PAGE))
    full = len(events) == PAGE
    return News(events, events[-1].number if full else max(number, reader.last_number()), None)
