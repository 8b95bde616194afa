"""The one look for all streams: nothing runs without followers, nothing is read without a commit, faults end it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest

from keyscope.api.feed import KEPT, PAGE, Feed
from keyscope.authority.ports import Account, Reader, Writer
from keyscope.errors import StoreUnavailable, Unavailable
from keyscope.model.event import Event, EventKind
from keyscope.store.memory import MemoryStore
from keyscope.system import SystemClock

T = TypeVar("T")


class Counting(MemoryStore):
    """Counts what is read, and fails when told to."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.fault: Exception | None = None

    def read(self, work: Callable[[Reader], T]) -> T:
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return super().read(work)


def happen(store: MemoryStore, count: int = 1, account_id: str = "acc_1") -> None:
    event = Event(kind=EventKind.KEY_UPDATED, at_ms=1, account_id=account_id, key_id="key_1")

    def work(writer: Writer) -> None:
        for _ in range(count):
            writer.add_event(event)

    store.write(work)


def a_feed(store: MemoryStore) -> Feed:
    store.write(lambda writer: writer.add_account(Account("acc_1", "one", 1)))
    return Feed(store, store.open_index(), SystemClock())


async def soon(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not happened():
            await asyncio.sleep(0.001)


def test_nothing_is_read_while_nothing_is_committed_and_nothing_runs_without_followers() -> None:
    async def follow() -> None:
        store = Counting()
        feed = a_feed(store)
        assert feed._looking is None
        with feed.place("acc_1"):
            feed.woken("acc_1")
            looking = feed._looking
            assert looking is not None
            await soon(lambda: feed._at_ms > 0)
            reads, looked_ms = store.reads, feed._at_ms
            await soon(lambda: feed._at_ms > looked_ms + 20)  # a good many looks later
            assert store.reads == reads
        await soon(looking.done)

    asyncio.run(follow())


def test_only_the_followers_of_the_account_are_woken() -> None:
    async def follow() -> None:
        store = Counting()
        feed = a_feed(store)
        with feed.place("acc_1"), feed.place("acc_2"):
            one, other = feed.woken("acc_1"), feed.woken("acc_2")
            await soon(lambda: feed._at_ms > 0)
            happen(store)
            await soon(one.done)
            assert not other.done()
            news = await feed.after("acc_1", 0)
            assert ([stored.number for stored in news.events], news.number) == ([1], 1)
            assert (await feed.after("acc_2", 0)).events == ()

    asyncio.run(follow())


def test_a_follower_far_behind_reads_page_by_page_and_misses_nothing() -> None:
    async def follow() -> None:
        store = Counting()
        feed = a_feed(store)
        with feed.place("acc_1"):
            feed.woken("acc_1")
            await soon(lambda: feed._at_ms > 0)
            happen(store, KEPT + 2 * PAGE)
            happen(store, 1, "acc_2")
            number, told = 0, []
            async with asyncio.timeout(10):
                while number < KEPT + 2 * PAGE + 1:
                    news = await feed.after("acc_1", number)
                    told += [stored.number for stored in news.events]
                    number = news.number
                    await asyncio.sleep(0)
            assert told == list(range(1, KEPT + 2 * PAGE + 1))

    asyncio.run(follow())


def test_a_store_that_cannot_be_read_ends_the_streams_and_a_later_one_begins_anew() -> None:
    async def follow() -> None:
        store = Counting()
        feed = a_feed(store)
        with feed.place("acc_1"):
            woken = feed.woken("acc_1")
            await soon(lambda: feed._at_ms > 0)
            store.fault = StoreUnavailable("gone")
            happen(store)
            await soon(woken.done)
            with pytest.raises(StoreUnavailable):
                await feed.after("acc_1", 0)
            store.fault = None
            feed.woken("acc_1")
            assert (await feed.after("acc_1", 0)).number == 1

    asyncio.run(follow())


def test_once_closed_it_takes_nobody() -> None:
    async def follow() -> None:
        feed = a_feed(Counting())
        with feed.place("acc_1"):
            woken = feed.woken("acc_1")
            feed.close()
            assert woken.done()
            with pytest.raises(Unavailable):
                await feed.after("acc_1", 0)
        with pytest.raises(Unavailable), feed.place("acc_1"):
            raise AssertionError("let in")

    asyncio.run(follow())
