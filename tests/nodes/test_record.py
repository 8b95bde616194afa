"""What can happen to PostgreSQL itself: a restart, a standby that takes over; and clocks that are set."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nodes.cluster import Cluster, folder, running
from tests.nodes.team import Team, team, wait
from tests.nodes.traffic import minted, traffic

HOUR_S = 3600
_STEPPED = '''"""Read by Python at every start: the wall clock, off by what a file says."""
import pathlib, time
_real_ns, _real = time.time_ns, time.time
_file = pathlib.Path(__file__).with_name("offset")
def _offset():
    return int(_file.read_text() or 0)
time.time_ns = lambda: _real_ns() + _offset() * 1_000_000_000
time.time = lambda: _real() + _offset()
'''
"""There is no way to set the clock of one process, so the nodes are given a clock that can be set."""


@contextlib.contextmanager
def with_standby() -> Iterator[tuple[Cluster, Cluster]]:
    """A record that waits for its standby at every commit, and the standby."""
    with running() as primary, folder() as beside:
        standby = primary.standby(beside)
        standby.start()
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        primary.ask("SELECT pg_reload_conf()")
        wait(lambda: primary.ask("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'") == [(1,)], "it is sync")
        try:
            yield primary, standby
        finally:
            standby.stop("immediate")


def test_a_restart_of_postgresql_loses_nothing_and_nodes_are_back_by_themselves(three: Team) -> None:
    keys = minted(three[0], 12)
    with traffic(three, keys) as asking:
        three.revoke(keys[0].id)
        asking.took(keys[0])
        three.cluster.stop("immediate")
        three.cluster.start()
        for member in three.members:
            member.wait_ready()
        wait(lambda: three[1].revoke(keys[1].id).status_code == 200, "it can be written to")
        asking.took(keys[1])
    assert asking.wrongly_accepted() == []
    assert [member.may(keys[1].secret) for member in three.members] == [401] * 3
    assert [member.may(keys[2].secret) for member in three.members] == [200] * 3


def test_a_standby_that_takes_over_has_all_that_was_acknowledged_and_the_old_record_gives_no_leases(
    tmp_path: Path,
) -> None:
    with with_standby() as (primary, standby), team(tmp_path, primary) as three:
        keys = minted(three[0], 12)
        with traffic(three, keys) as asking:
            three.revoke(keys[0].id)
            asking.took(keys[0])
            standby.promote()
            three[1].relay.target = standby.port
            three[1].relay.cut()
            wait(lambda: three[1].revoke(keys[1].id).status_code == 200, "the new record can be written to")
            asking.took(keys[1])
            for behind in (three[0], three[2]):
                assert behind.wait_closed() < 2, "whoever is with the old record hears nothing that counts"
                behind.relay.target = standby.port
                behind.relay.cut()
                behind.wait_ready()
        assert asking.wrongly_accepted() == []
        for member in three.members:
            assert [member.may(key.secret) for key in keys[:3]] == [401, 401, 200]


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_wall_clock_that_is_set_makes_no_lease_longer_or_shorter(tmp_path: Path, step_s: int) -> None:
    clock = tmp_path / "clock"
    clock.mkdir()
    (clock / "sitecustomize.py").write_text(_STEPPED)
    (clock / "offset").write_text("0")
    with (
        running() as cluster,
        team(tmp_path / "nodes", cluster, count=2, environment={"PYTHONPATH": str(clock)}) as two,
    ):
        keys = minted(two[0], 6)
        wait(lambda: two[1].may(keys[-1].secret) == 200, "the keys are known")
        two[1].relay.holds = True
        (clock / "offset").write_text(str(step_s))
        assert two[1].may(keys[0].secret) == 200
        two.revoke(keys[0].id)
        assert two[1].may(keys[0].secret) == 503
        two[1].relay.holds = False
        two[1].wait_ready()
        assert two[1].may(keys[0].secret) == 401
        assert two[1].may(keys[1].secret) == 200
