"""The counters in SQLite keep the contract; and they survive every end of the processes that count."""

from __future__ import annotations

import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.contract_counters import NOW, CounterContract, a_budget, again, passed
from tests.store.outside import end, hear, held, python, say

from keyscope.authority.counters import Counters, Kind, Spent, Used
from keyscope.errors import ConfigurationError, CountersUnavailable
from keyscope.store.counters import SqliteCounters
from keyscope.store.counters_open import counters_beside, open_counters


class TestSqliteCounters(CounterContract):
    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return counters_beside(tmp_path / "keyscope.db")

    @pytest.fixture
    def counters(self, path: Path) -> Iterator[Counters]:
        yield from _opened(path)

    @pytest.fixture
    def others(self, path: Path, counters: Counters) -> Iterator[Counters]:
        yield from _opened(path)


def _opened(path: Path) -> Iterator[Counters]:
    counters = open_counters(path)
    yield counters
    counters.close()


class TestInMemory:
    def test_without_a_file_there_is_one_process(self) -> None:
        counters, budget = open_counters(None), a_budget(uses=2, rate=(2, 1000), parallel=1)
        assert passed(counters, [budget], 3) == 1
        counters.give_back([budget])
        counters.tidy()
        assert passed(counters, [budget], 3) == 1


_SPEND = """
import sys
from pathlib import Path
from keyscope.authority.counters import Budget
from keyscope.store.counters_open import open_counters
counters = open_counters(Path(sys.argv[1]))
budget = Budget(holder=sys.argv[2], uses=int(sys.argv[3]), parallel=int(sys.argv[4]))
print("open", flush=True)
for line in sys.stdin:
    print(sum(not counters.take([budget], 0) for _ in range(int(line))), flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyscope.db.counters"


def test_four_processes_at_once_spend_exactly_what_there_is(path: Path) -> None:
    open_counters(path).close()
    processes = [python(_SPEND, path, "key_1", 500, 1000) for _ in range(4)]
    assert [hear(process) for process in processes] == ["open"] * 4
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("200\n")
        process.stdin.flush()
    assert sum(int(hear(process)) for process in processes) == 500
    assert [end(process) for process in processes] == [""] * 4


def test_a_killed_process_has_spent_its_uses_and_frees_its_places(path: Path) -> None:
    counters, budget = open_counters(path), a_budget(uses=10, parallel=4)
    process = python(_SPEND, path, budget.holder, 10, 4)
    assert hear(process) == "open"
    assert say(process, "3") == "3"
    assert passed(counters, [budget], 2) == 1
    process.send_signal(signal.SIGSTOP)
    assert counters.take([budget], NOW) == (Spent(budget.holder, Kind.PARALLEL),)  # stopped is not ended
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert passed(counters, [budget], 9) == 3
    assert counters.used([budget.holder]) == {budget.holder: Used(7, 4)}
    end(process)
    counters.close()
    assert os.listdir(path.with_name(path.name + ".running")) == []


def test_what_was_counted_is_there_after_a_restart(path: Path) -> None:
    counters, budget = open_counters(path), a_budget(uses=10, rate=(3, 1000), parallel=9)
    assert passed(counters, [budget], 9) == 3
    counters.close()
    counters = open_counters(path)
    assert counters.used([budget.holder]) == {budget.holder: Used(3)}
    assert passed(counters, [budget], 9, NOW + 999) == 0
    assert passed(counters, [budget], 9, NOW + 1000) == 3
    counters.close()


def test_a_power_failure_loses_nothing_that_is_older_than_the_last_tidying(path: Path, tmp_path: Path) -> None:
    """What the disk has after ``tidy`` is in the file itself: the copy is without the log of later changes."""
    counters, budget = open_counters(path), a_budget(uses=10)
    assert passed(counters, [budget], 4) == 4
    counters.tidy()
    copy = tmp_path / "after.db.counters"
    copy.write_bytes(path.read_bytes())
    after = open_counters(copy)
    assert after.used([budget.holder]) == {budget.holder: Used(4)}
    after.close()
    counters.close()


def test_a_locked_file_lets_nothing_through_and_is_soon_given_up(path: Path) -> None:
    counters, budget = open_counters(path), a_budget(uses=10, parallel=2)
    assert not counters.take([budget], NOW)
    with held(path, "BEGIN IMMEDIATE"):
        for _ in range(3):
            with pytest.raises(CountersUnavailable):
                counters.take([budget], NOW)
        counters.give_back([budget])
    counters.tidy()
    assert counters.used([budget.holder]) == {budget.holder: Used(1)}
    counters.close()


def test_a_full_disk_lets_nothing_through(path: Path) -> None:
    counters, budget = open_counters(path), a_budget(rate=(1000, 1000))
    counters._connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(CountersUnavailable, match="SQLITE_FULL"):
        passed(counters, [budget], 1000)
    counters.close()


@pytest.mark.parametrize("what", ["gone", "replaced"])
def test_a_file_that_vanished_lets_nothing_through(path: Path, what: str) -> None:
    counters, budget = open_counters(path), a_budget(uses=10)
    path.rename(path.with_name("elsewhere"))
    if what == "replaced":
        path.write_bytes(b"")
    with pytest.raises(CountersUnavailable, match="no longer the file"):
        counters.take([budget], NOW)
    path.with_name("elsewhere").rename(path)
    assert not counters.take([budget], NOW)
    counters.close()


def test_damage_lets_nothing_through(path: Path) -> None:
    counters, budget = open_counters(path), a_budget(uses=10)
    assert not counters.take([budget], NOW)
    counters.close()
    path.write_bytes(path.read_bytes()[:1024] + b"\xff" * (path.stat().st_size - 1024))
    with pytest.raises((ConfigurationError, CountersUnavailable)):
        open_counters(path).take([budget], NOW)


def test_counters_that_are_gone_are_no_fresh_start(path: Path) -> None:
    open_counters(path).close()
    path.unlink()
    with pytest.raises(ConfigurationError) as refused:
        open_counters(path)
    assert "delete the marker" in refused.value.faults[0].message
    (path.parent / "keyscope.db.counters.marker").unlink()
    open_counters(path).close()


def test_another_programs_file_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (a)")
    connection.close()
    with pytest.raises(ConfigurationError, match="not Keyscope's"):
        open_counters(path)


def test_the_files_are_for_this_user_alone(path: Path) -> None:
    counters = open_counters(path)
    assert not counters.take([a_budget(uses=1)], NOW)
    files = [file for file in path.parent.rglob("*") if file.is_file()]
    assert len(files) == 5
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    counters.close()


def test_a_use_that_is_bought_later_still_counts_from_the_first(path: Path) -> None:
    counters, budget = open_counters(path), a_budget(uses=1)
    assert passed(counters, [budget], 2) == 1
    counters.close()
    counters = open_counters(path)
    assert passed(counters, [again(budget, uses=2)], 2) == 1
    counters.close()


def test_the_log_of_changes_stays_small_under_load(path: Path) -> None:
    counters, budget = open_counters(path), a_budget(uses=10**6)
    assert isinstance(counters, SqliteCounters)
    log = path.with_name(path.name + "-wal")
    for _ in range(10):
        passed(counters, [budget], 2000)
        counters.tidy()
    assert log.stat().st_size < 30 << 20
    counters.close()
