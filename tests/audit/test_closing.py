"""A trail that cannot be written: short trouble refuses nobody and loses nothing, long trouble closes the gate."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from threading import Event
from typing import TypeVar

import pytest

from keyscope.authority.ledger import Ledger
from keyscope.authority.ports import Reader
from keyscope.authority.recording import CLOSE_AFTER_MS, Recording
from keyscope.authority.trail import Attempt, Batch, UseQuery
from keyscope.errors import AuditUnavailable, StoreUnavailable
from keyscope.store.memory import MemoryStore
from keyscope.store.trail import SqliteTrail
from keyscope.store.trail_open import memory_trail, trail_beside
from tests.audit.made import MINUTE, numbers, uses
from tests.audit.seen import Seen
from tests.laws.seams import HandClock
from tests.live import Live
from tests.recorder import Recorder

T = TypeVar("T")
WAIT_S = 30.0


class Stuck(SqliteTrail):
    """A trail in memory that can be told to fail."""

    def __init__(self, trail: SqliteTrail) -> None:
        self.__dict__ = trail.__dict__
        self.fails = False

    def append(self, batch: Batch, now_ms: int) -> None:
        if self.fails:
            raise StoreUnavailable("told to")
        super().append(batch, now_ms)


@pytest.fixture
def trail() -> Iterator[Stuck]:
    made = Stuck(memory_trail())
    made.begin(0, MINUTE)
    yield made
    made.close()


def test_what_cannot_be_written_is_kept_and_written_later(trail: Stuck) -> None:
    clock, ledger = HandClock(MINUTE), Ledger()
    recording = Recording(trail, ledger, clock)
    trail.fails = True
    for _ in range(3):
        ledger.add_calls(uses(2))
        ledger.refused("invalid_token", Attempt(peer="10.0.0.1"), MINUTE)
        with pytest.raises(StoreUnavailable):
            recording.write(recording.take())
    recording.check()
    trail.fails = False
    for _ in range(2):
        recording.write(recording.take())
    assert [count.calls for count in trail.uses(UseQuery(account_id="acc_1"))] == [6]
    assert sum(entry.times for n in numbers(trail)[1:] if (entry := trail.entry(n)) is not None) == 3


def test_the_gate_is_to_close_when_it_takes_too_long_and_to_open_again(trail: Stuck) -> None:
    clock = HandClock(MINUTE)
    recording = Recording(trail, Ledger(), clock)
    trail.fails = True
    with pytest.raises(StoreUnavailable):
        recording.write(recording.take())
    clock.at_ms += CLOSE_AFTER_MS
    recording.check()
    clock.at_ms += 1
    with pytest.raises(AuditUnavailable):
        recording.check()
    trail.fails = False
    recording.write(recording.take())
    recording.check()


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT_S
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_live_gate_closes_and_opens_with_its_trail(upstream: Recorder, new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), upstream=upstream.url) as live:
        key = live.mint("devboxes:read")
        answers: list[int] = []

        def ask() -> int:
            answers.append(live.call("GET", "/v1/devboxes", key["key_secret"]).status_code)
            return answers[-1]

        with closing(sqlite3.connect(trail_beside(live.database), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            assert ask() == 200  # short trouble refuses nobody
            _until(lambda: ask() == 503)
            refused = live.call("GET", "/v1/devboxes", key["key_secret"])
            assert refused.json()["code"] == "audit_unavailable"
            assert live.call("GET", "/keyscope/readyz", "").status_code == 503
            other.execute("ROLLBACK")
        _until(lambda: ask() == 200)
        live.stop()
        assert Seen(live).calls(key["id"]) == answers.count(200)
        assert live.log.count("the audit trail cannot be written") == 1


def test_a_database_that_does_not_answer_keeps_nobody_from_writing_down_what_was_judged(trail: Stuck) -> None:
    clock, ledger = HandClock(MINUTE), Ledger()
    answers, copied = Event(), Event()

    class Mute(MemoryStore):
        def read(self, work: Callable[[Reader], T]) -> T:
            copied.set()
            answers.wait(WAIT_S)
            return super().read(work)

    recording = Recording(trail, ledger, clock, Mute())
    with ThreadPoolExecutor() as threads:
        copying = threads.submit(recording.copy)
        assert copied.wait(WAIT_S)
        ledger.add_calls(uses(2))
        recording.write(recording.take())
        clock.at_ms += CLOSE_AFTER_MS + 1
        recording.check()
        answers.set()
        copying.result(WAIT_S)
    assert [count.calls for count in trail.uses(UseQuery(account_id="acc_1"))] == [2]
