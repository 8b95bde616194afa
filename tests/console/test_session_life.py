"""Sessions by the clock: idle time, latest end, how many, and that each is new."""

from __future__ import annotations

import itertools

import pytest

from keyscope.authority.ports import Store
from keyscope.authority.sessions import MOST_OF_ONE_KEY, SEEN_EVERY_MS, Lifetimes, Sessions
from keyscope.model.key import Lineage
from keyscope.store.open import open_store
from tests.store.samples import a_key, put

IDLE_MS, WHOLE_MS = 30 * 60_000, 8 * 3_600_000


class Moment:
    now = 1_000_000

    def now_ms(self) -> int:
        return self.now


class Counting:
    """Entropy that never repeats."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)

    def random_bytes(self, count: int) -> bytes:
        return next(self._numbers).to_bytes(count)


@pytest.fixture
def store() -> Store:
    made = open_store("memory://")
    put(made, a_key("key_1"))
    return made


@pytest.fixture
def clock() -> Moment:
    return Moment()


@pytest.fixture
def sessions(store: Store, clock: Moment) -> Sessions:
    return Sessions(store, clock, Counting(), Lifetimes(IDLE_MS, WHOLE_MS))


KEY = Lineage(a_key("key_1"))


def test_a_session_is_found_by_its_id_and_by_nothing_else(sessions: Sessions) -> None:
    opened = sessions.open(KEY, None).reveal()
    found = sessions.find(opened)
    assert found is not None
    assert (found.key_id, found.key_digest) == ("key_1", KEY.key.digest)
    wrong = ("", "x", opened[:-1], opened + "0", opened.upper() + "g", found.digest.hex())
    assert [sessions.find(text) for text in wrong] == [None] * len(wrong)


def test_the_store_never_sees_the_id(sessions: Sessions, store: Store) -> None:
    opened = sessions.open(KEY, None).reveal()
    [kept] = store.read(lambda reader: reader.sessions("key_1"))
    assert bytes.fromhex(opened) not in (kept.digest, kept.csrf)
    assert opened not in repr(kept)


def test_a_session_ends_without_requests_and_goes_on_with_them(sessions: Sessions, clock: Moment) -> None:
    opened = sessions.open(KEY, None).reveal()
    for _ in range(4):
        clock.now += IDLE_MS - 1
        assert sessions.find(opened) is not None
    clock.now += IDLE_MS
    assert sessions.find(opened) is None


def test_a_session_ends_at_its_latest_end_however_much_it_is_used(sessions: Sessions, clock: Moment) -> None:
    opened = sessions.open(KEY, None).reveal()
    end = clock.now + WHOLE_MS
    while clock.now + IDLE_MS < end:
        clock.now += IDLE_MS - 1
        assert sessions.find(opened) is not None
    clock.now = end - 1
    assert sessions.find(opened) is not None
    clock.now = end
    assert sessions.find(opened) is None


def test_a_use_is_written_down_once_a_minute_at_most(sessions: Sessions, store: Store, clock: Moment) -> None:
    opened = sessions.open(KEY, None).reveal()
    index = store.open_index()
    before = index.stamp()
    clock.now += SEEN_EVERY_MS - 1
    sessions.find(opened)
    assert index.stamp() == before
    clock.now += 1
    sessions.find(opened)
    assert index.stamp() != before


def test_signing_in_makes_a_new_id_and_ends_the_one_before(sessions: Sessions) -> None:
    planted = sessions.open(KEY, None).reveal()
    opened = sessions.open(KEY, planted).reveal()
    assert opened != planted
    assert sessions.find(planted) is None
    assert sessions.find(opened) is not None


def test_one_key_has_a_bounded_number_of_sessions(sessions: Sessions, clock: Moment) -> None:
    opened = []
    for _ in range(MOST_OF_ONE_KEY + 3):
        clock.now += 1
        opened.append(sessions.open(KEY, None).reveal())
    assert [sessions.find(text) is not None for text in opened] == [False] * 3 + [True] * MOST_OF_ONE_KEY


def test_whoever_signed_out_stays_signed_out(sessions: Sessions, clock: Moment) -> None:
    opened = sessions.open(KEY, None).reveal()
    clock.now += SEEN_EVERY_MS
    found = sessions.find(opened)
    assert found is not None
    sessions.end(found)
    assert sessions.find(opened) is None


def test_sessions_that_are_over_leave_the_store(sessions: Sessions, store: Store, clock: Moment) -> None:
    sessions.open(KEY, None)
    clock.now += WHOLE_MS
    sessions.open(KEY, None)
    assert len(store.read(lambda reader: reader.sessions("key_1"))) == 1
