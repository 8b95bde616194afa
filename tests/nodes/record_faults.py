"""What can happen to PostgreSQL itself, and to the clock of a node; and what comes of it, as for faults of a node."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.nodes.cluster import Cluster, folder, running
from tests.nodes.faults import Outcome
from tests.nodes.team import Team, team, wait
from tests.nodes.traffic import Traffic, minted, traffic

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
def with_standby(fsync: str = "off") -> Iterator[tuple[Cluster, Cluster]]:
    """A record that waits for its standby at every commit, and the standby."""
    with running(fsync=fsync) as primary, folder() as beside:
        standby = primary.standby(beside)
        standby.start()
        primary.ask("ALTER SYSTEM SET synchronous_standby_names = 'standby'")
        primary.ask("SELECT pg_reload_conf()")
        wait(lambda: primary.ask("SELECT 1 FROM pg_stat_replication WHERE sync_state = 'sync'") == [(1,)], "it is sync")
        try:
            yield primary, standby
        finally:
            standby.stop("immediate")


def starts_anew(three: Team, lasts_s: float) -> Outcome:
    """PostgreSQL is killed, and started so much later."""
    keys = minted(three[0], 12)
    with traffic(three, keys) as asking:
        three.revoke(keys[0].id)
        asking.took(keys[0])
        three.cluster.stop("immediate")
        began_s = time.perf_counter()
        time.sleep(lasts_s)
        mended_s = time.perf_counter()
        three.cluster.start()
        for member in three.members:
            member.wait_ready()
        recovered_s = time.perf_counter() - mended_s
        wait(lambda: three[1].revoke(keys[1].id).status_code == 200, "it can be written to")
        receipt_s = time.perf_counter() - mended_s
        asking.took(keys[1])
        time.sleep(0.2)
    assert [member.may(keys[1].secret) for member in three.members] == [401] * 3
    assert [member.may(keys[2].secret) for member in three.members] == [200] * 3
    return _outcome(asking, {"a", "b", "c"}, began_s, mended_s, receipt_s, recovered_s)


def is_taken_over(three: Team, standby: Cluster) -> Outcome:
    """A standby takes over. One node finds it at once; the others stay with the old record until they have closed."""
    keys = minted(three[0], 12)
    with traffic(three, keys) as asking:
        three.revoke(keys[0].id)
        asking.took(keys[0])
        standby.promote()
        began_s = time.perf_counter()
        three[1].relay.target = standby.port
        three[1].relay.cut()
        wait(lambda: three[1].revoke(keys[1].id).status_code == 200, "the new record can be written to")
        receipt_s = time.perf_counter() - began_s
        asking.took(keys[1])
        for behind in (three[0], three[2]):
            behind.wait_closed()
        mended_s = time.perf_counter()
        for behind in (three[0], three[2]):
            behind.relay.target = standby.port
            behind.relay.cut()
            behind.wait_ready()
        recovered_s = time.perf_counter() - mended_s
    for member in three.members:
        assert [member.may(key.secret) for key in keys[:3]] == [401, 401, 200]
    return _outcome(asking, {"a", "c"}, began_s, mended_s, receipt_s, recovered_s)


class Clock:
    """The wall clock of nodes that are started with ``environment``."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        (directory / "sitecustomize.py").write_text(_STEPPED)
        self._offset = directory / "offset"
        self.environment = {"PYTHONPATH": str(directory)}
        self.set(0)

    def set(self, off_s: int) -> None:
        self._offset.write_text(str(off_s))


@contextlib.contextmanager
def with_clock(directory: Path, cluster: Cluster) -> Iterator[tuple[Team, Clock]]:
    """Two nodes, and their clock."""
    clock = Clock(directory / "clock")
    with team(directory / "two", cluster, count=2, environment=clock.environment) as two:
        yield two, clock


def clock_is_set(two: Team, clock: Clock, step_s: int, lasts_s: float) -> Outcome:
    """The clock of both is set, just when the network to PostgreSQL swallows what one of them says."""
    keys = minted(two[0], 6)
    wait(lambda: two[1].may(keys[-1].secret) == 200, "the keys are known")
    with traffic(two, keys) as asking:
        two[1].relay.holds = True
        began_s = time.perf_counter()
        clock.set(step_s)
        assert two[1].may(keys[0].secret) == 200, "a lease is no shorter"
        two.revoke(keys[0].id)
        receipt_s = time.perf_counter() - began_s
        asking.took(keys[0])
        assert two[1].may(keys[0].secret) == 503, "a lease is no longer"
        time.sleep(max(0.0, began_s + lasts_s - time.perf_counter()))
        mended_s = time.perf_counter()
        two[1].relay.holds = False
        two[1].wait_ready()
        recovered_s = time.perf_counter() - mended_s
    assert [two[1].may(key.secret) for key in keys[:2]] == [401, 200]
    return _outcome(asking, {"b"}, began_s, mended_s, receipt_s, recovered_s)


def _outcome(
    asking: Traffic, nodes: set[str], began_s: float, mended_s: float, receipt_s: float, recovered_s: float
) -> Outcome:
    accepted = (
        asked.sent_s
        for asked in asking.asked
        if asked.node in nodes and asked.status == 200 and began_s < asked.sent_s < mended_s
    )
    closed_s = max(accepted, default=began_s) - began_s
    return Outcome(receipt_s, closed_s, recovered_s, len(asking.wrongly_accepted()), len(asking.asked))
