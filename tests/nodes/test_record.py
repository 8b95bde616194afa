"""What can happen to PostgreSQL itself: a restart, a standby that takes over; clocks that are set; dropped changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.nodes.cluster import running
from tests.nodes.record_faults import HOUR_S, clock_is_set, is_taken_over, starts_anew, with_clock, with_standby
from tests.nodes.team import Team, team
from tests.nodes.traffic import minted

LEASE_S = 1.0
MARGIN_S = 0.1


@pytest.mark.parametrize("lasts_s", [0.0, 1.5])
def test_a_restart_of_postgresql_loses_nothing_and_nodes_are_back_by_themselves(three: Team, lasts_s: float) -> None:
    outcome = starts_anew(three, lasts_s)
    assert outcome.wrongly == 0
    assert (outcome.closed_s or 0) < LEASE_S + MARGIN_S


def test_a_standby_that_takes_over_has_all_that_was_acknowledged_and_the_old_record_gives_no_leases(
    tmp_path: Path,
) -> None:
    with with_standby() as (primary, standby), team(tmp_path, primary) as three:
        outcome = is_taken_over(three, standby)
    assert outcome.wrongly == 0
    assert (outcome.closed_s or 0) < LEASE_S + MARGIN_S, "whoever is with the old record hears nothing that counts"


@pytest.mark.parametrize("step_s", [HOUR_S, -HOUR_S])
def test_a_wall_clock_that_is_set_makes_no_lease_longer_or_shorter(tmp_path: Path, step_s: int) -> None:
    with running() as cluster, with_clock(tmp_path, cluster) as (two, clock):
        outcome = clock_is_set(two, clock, step_s, lasts_s=0)
    assert outcome.wrongly == 0
    assert (outcome.closed_s or 0) < LEASE_S + MARGIN_S


def test_a_node_that_was_away_for_longer_than_changes_are_kept_copies_everything(three: Team) -> None:
    keys = minted(three[0], 3)
    away = three[2]
    away.kill_all()
    three.revoke(keys[0].id)
    minted(three[0], 2)
    three.cluster.ask("DELETE FROM keyscope.changes WHERE number < (SELECT change FROM keyscope.numbers)")
    away.start()
    away.wait_ready()
    assert [away.may(key.secret) for key in keys[:2]] == [401, 200]
