"""The lease of a node: from before the question, on the clock of this boot, seen by every process at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from keyscope.errors import ConfigurationError, NotHeard
from keyscope.store.replica.lease import Lease, now_ns

S = 1_000_000_000


@pytest.fixture
def lease(tmp_path: Path) -> Lease:
    return Lease.open(tmp_path / "replica.db")


def test_there_is_none_before_it_is_granted(lease: Lease) -> None:
    with pytest.raises(NotHeard):
        lease.check()
    assert lease.stale_ns is None


def test_it_lasts_from_before_the_question_not_from_the_answer(lease: Lease) -> None:
    lease.grant(now_ns() - 5 * S, 5 * S, 1)
    with pytest.raises(NotHeard, match=r"nothing for 5\.0"):
        lease.check()
    lease.grant(now_ns() - 4 * S, 5 * S, 1)
    lease.check()
    assert 0 < lease.left_ns <= S


def test_an_answer_that_comes_late_never_shortens_it(lease: Lease) -> None:
    lease.grant(now_ns(), 5 * S, 2)
    lease.grant(now_ns() - 4 * S, 5 * S, 2)
    assert lease.left_ns > 4 * S


def test_it_runs_on_the_clock_that_counts_sleep_and_nobody_sets() -> None:
    before, now, after = (
        time.clock_gettime_ns(time.CLOCK_BOOTTIME),
        now_ns(),
        time.clock_gettime_ns(time.CLOCK_BOOTTIME),
    )
    assert before <= now <= after


def test_another_process_of_the_node_sees_it_at_once(lease: Lease, tmp_path: Path) -> None:
    other = Lease.open(tmp_path / "replica.db")
    lease.grant(now_ns(), 5 * S, 7)
    other.check()
    assert other.number == 7
    lease.end()
    with pytest.raises(NotHeard):
        other.check()


def test_whoever_takes_it_over_begins_without_one(lease: Lease, tmp_path: Path) -> None:
    lease.grant(now_ns(), 5 * S, 7)
    follower = Lease.open(tmp_path / "replica.db")
    follower.hold()
    with pytest.raises(NotHeard):
        lease.check()


def test_two_followers_of_one_replica_are_refused(lease: Lease, tmp_path: Path) -> None:
    lease.hold()
    with pytest.raises(ConfigurationError) as refused:
        Lease.open(tmp_path / "replica.db").hold()
    assert "another server follows into this file" in refused.value.faults[0].message


def test_one_of_another_boot_is_not_found(lease: Lease, tmp_path: Path) -> None:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert [path.name for path in tmp_path.iterdir()] == [f"replica.db.lease.{boot}"]


def test_a_stamp_answers_only_while_it_lasts(lease: Lease) -> None:
    stamp = lease.guarded(lambda: "seen")
    with pytest.raises(NotHeard):
        stamp()
    lease.grant(now_ns(), 5 * S, 1)
    assert stamp() == "seen"
    lease.end()
    with pytest.raises(NotHeard):
        stamp()
