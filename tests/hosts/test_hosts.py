"""Nodes, PostgreSQL and Valkey on hosts of their own, and a kernel that does to their network what networks do."""

from __future__ import annotations

import secrets

import pytest

from tests.hosts.conftest import Lab
from tests.hosts.faults import NETWORK_FAULTS, NetworkFault
from tests.hosts.lab import LEASE_S
from tests.programs import NAMESPACES, requires_program

pytestmark = [requires_program(name) for name in ("ip", "nft", NAMESPACES)]

MARGIN_S = 1.5
"""For a machine that does much else at the same time."""
LONGEST_S = 12.0
"""What docs/postgres.md promises: whoever waits for PostgreSQL hears by then that it does not answer."""
STORM_S = 20.0


@pytest.mark.parametrize("fault", NETWORK_FAULTS, ids=lambda fault: fault.name)
def test_nothing_is_accepted_after_a_receipt_and_it_recovers(lab: Lab, fault: NetworkFault) -> None:
    outcome = lab.ask("befall", fault.name)
    print(fault.name, outcome)
    assert outcome["wrongly"] == 0
    assert outcome["asked"] > 50
    assert outcome["receipt_s"] < LEASE_S + MARGIN_S
    assert outcome["recovered_s"] < LEASE_S + 2 * MARGIN_S
    if fault.closes:
        assert outcome["closed_s"] < LEASE_S + 0.1


def test_without_valkey_a_node_refuses_what_it_cannot_count_and_nothing_else(lab: Lab) -> None:
    heard = lab.ask("without_counters")
    print(heard)
    assert heard["limited"] == [503, 503]
    assert heard["limited elsewhere"] == 200
    assert heard["others"] == [200, 200]
    assert heard["heard_s"] < 1


def test_when_postgresqls_host_is_gone_without_a_word_nobody_waits_for_ever(lab: Lab) -> None:
    seen = lab.ask("without_record")
    print(seen)
    assert seen["wrongly"] == 0
    assert seen["closed_s"] < LEASE_S + 0.1
    assert seen["statuses"] == [200, 503]
    assert seen["slowest_s"] < LONGEST_S + MARGIN_S
    assert seen["let_go_s"] < LONGEST_S + MARGIN_S, "what a node that is gone holds in PostgreSQL is let go"


def test_faults_that_come_and_go_at_random_let_nothing_through_after_a_receipt(lab: Lab) -> None:
    seed = secrets.randbelow(1 << 32)
    seen = lab.ask("weathered", seed, STORM_S)
    print(f"seed {seed}:", seen)
    assert seen["wrongly"] == 0
    assert seen["accepted at the end"] == 0
    assert seen["operations"] > 30
    assert seen["let through"] > 1000
    assert len(seen["faults"]) > 3
