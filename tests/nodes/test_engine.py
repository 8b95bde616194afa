"""Nodes whose engine is HAProxy: a node's acknowledgement is HAProxy's too, and HAProxy closes with its node."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.haproxy.inside import Inside, stopped
from tests.haproxy.team import running_team
from tests.nodes.cluster import Cluster, running
from tests.nodes.faults import ALSO_WITH_ENGINE, OF_ENGINE, Fault, befall
from tests.nodes.operations import Operations
from tests.nodes.team import CALLS, HAPROXY, READ, WRITE, Member, Team, team, wait
from tests.nodes.traffic import minted, traffic
from tests.programs import requires_program
from tests.recorder import Recorder

pytestmark = requires_program("haproxy")

ALL = ["a", "b", "c"]
LEASE_S = 1.0
MARGIN_S = 1.5
OPERATIONS = 60
TIMES = 10


@pytest.fixture(scope="module")
def record() -> Iterator[Cluster]:
    with running() as cluster:
        yield cluster


@pytest.fixture(scope="module")
def engines(record: Cluster, upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Team]:
    """Three nodes, whose leases last a second."""
    with team(new_directory() / "nodes", record, options=HAPROXY, upstream=upstream.url) as nodes:
        judging(nodes)
        yield nodes


def judging(nodes: Team) -> None:
    for member in nodes.members:
        wait(Inside(member).is_judging, f"HAProxy judges at {member.name}")


def alone(member: Member) -> int:
    """How many calls HAProxy has let through, or refused, by itself."""
    by = Inside(member).answered_by()
    return sum(by[backend] for backend in ("api", "missing", "invalid", "lacking"))


def test_a_revocation_at_one_node_holds_at_the_haproxy_of_every_other_from_its_receipt_on(engines: Team) -> None:
    for _ in range(TIMES):
        key = engines[0].mint("devboxes:write")
        for member in engines.members:
            wait(lambda member=member, key=key: member.may(key["key_secret"]) == 200, "it is known")  # type: ignore[misc]
        receipt = engines.revoke(key["id"], at=1)
        assert (receipt["acknowledged"], receipt["closed"], receipt["pending"]) == (ALL, [], [])
        assert [member.may(key["key_secret"]) for member in engines.members] == [401, 401, 401]


def test_haproxy_judges_alone_and_what_it_did_is_in_the_nodes_trail_and_the_record(engines: Team) -> None:
    judging(engines)
    member, key = engines[2], engines[2].mint("devboxes:read")
    before = alone(member)
    assert (member.may(key["key_secret"]), member.may(key["key_secret"], WRITE)) == (200, 403)
    assert alone(member) == before + 2

    def written() -> bool:
        shown = engines[0].call("GET", f"/v1/restricted_keys/{key['id']}").json()
        audit = member.call("GET", "/keyscope/audit", params={"key_id": key["id"], "verdict": "denied"}).json()
        return shown["last_used_at_ms"] is not None and len(audit["entries"]) == 1

    wait(written, "the use is in the record, and the refusal in the trail of the node")


def test_a_key_is_asked_about_when_what_it_descends_from_changed_at_another_node(engines: Team) -> None:
    judging(engines)
    above = engines[0].mint("devboxes:write", "account:write")
    below = engines[0].mint("devboxes:read", by=above["key_secret"])
    wait(lambda: engines[2].may(below["key_secret"]) == 200, "it is known")
    engines.revoke(above["id"], at=1)
    assert engines[2].may(below["key_secret"]) == 401


def test_under_traffic_nothing_is_accepted_after_a_receipt(engines: Team) -> None:
    judging(engines)
    before = [alone(member) for member in engines.members]
    with traffic(engines, minted(engines[0], 50)) as calling:
        Operations(engines, calling, Random(11)).run(OPERATIONS)  # noqa: S311  (no secret)
    assert calling.wrongly_accepted() == []
    assert {200, 401, 403} >= {question.status for question in calling.asked} >= {200}
    assert all(alone(member) > some for member, some in zip(engines.members, before, strict=True))


@pytest.mark.parametrize("fault", [*OF_ENGINE, *ALSO_WITH_ENGINE], ids=lambda fault: fault.name)
def test_whatever_befalls_a_node_nothing_is_accepted_after_a_receipt_and_it_recovers(
    engines: Team, fault: Fault
) -> None:
    judging(engines)
    outcome = befall(engines, fault, lasts_s=LEASE_S + 0.5)
    print(fault.name, outcome)
    assert outcome.wrongly == 0
    assert outcome.receipt_s < LEASE_S + MARGIN_S
    if outcome.closed_s is not None:
        assert outcome.closed_s < LEASE_S + 0.1
    judging(engines)


def test_haproxy_asks_before_the_lease_of_its_node_ends_and_hears_503_after_that(engines: Team) -> None:
    member, key = engines[2], minted(engines[0], 1)[0]
    wait(lambda: member.may(key.secret) == 200, "it is known")
    member.relay.holds = True
    wait(lambda: member.may(key.secret) == 503, "the node is closed", within_s=LEASE_S + 0.5)
    assert not Inside(member).is_judging()
    member.relay.holds = False
    wait(Inside(member).is_judging, "HAProxy judges again")


def test_a_replica_that_is_built_anew_gives_haproxy_new_maps_and_no_leave_until_then(
    engines: Team, record: Cluster
) -> None:
    member, (kept, lost) = engines[2], minted(engines[0], 2)
    wait(lambda: member.may(lost.secret) == 200, "they are known")
    [before] = [name for name in Inside(member).map("lease.map") if name.startswith("number:")]
    member.relay.holds = True
    member.wait_closed()
    number = engines.revoke(lost.id)["number"]
    engines.revoke(minted(engines[0], 1)[0].id)
    record.ask("DELETE FROM keyscope.changes WHERE number = %s", number)  # what nobody is to tell this node
    member.relay.holds = False
    wait(lambda: before not in Inside(member).map("lease.map") and Inside(member).is_judging(), "it has new maps")
    assert [member.may(key.secret) for key in (kept, lost)] == [200, 401]


def test_a_haproxy_that_cannot_be_told_is_waited_for_as_long_as_its_node_may_judge(engines: Team) -> None:
    judging(engines)
    member, key = engines[2], minted(engines[0], 1)[0]
    wait(lambda: member.may(key.secret) == 200, "it is known")
    with stopped(Inside(member).engine):
        began_s = time.monotonic()
        receipt = engines.revoke(key.id)
        assert "c" not in receipt["acknowledged"] or time.monotonic() - began_s > LEASE_S / 2
        assert member.may(key.secret) == 401


def test_a_haproxy_of_ones_own_beside_a_node_is_fed_from_its_replica_and_closes_with_it(
    upstream: Recorder, tmp_path: Path
) -> None:
    with (
        running() as cluster,
        team(tmp_path / "nodes", cluster, count=1, staleness_s=5, upstream=upstream.url) as nodes,
        running_team(nodes[0], upstream, tmp_path, on=nodes[0].files) as own,
    ):
        for _ in range(TIMES):
            key = minted(nodes[0], 1)[0]
            assert own.status(key.secret, CALLS[READ]) == 200
            nodes.revoke(key.id)
            assert own.status(key.secret, CALLS[READ]) == 401
        nodes[0].stop()
        assert own.status(nodes[0].first, CALLS[READ]) == 503
