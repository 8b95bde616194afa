"""Whatever befalls a node: it accepts nothing after a receipt, closes within its lease, and is back by itself."""

from __future__ import annotations

import pytest

from tests.nodes.faults import FAULTS, Fault, befall
from tests.nodes.team import Team

LEASE_S = 1.0
"""Of the nodes of these tests."""
MARGIN_S = 1.5
"""For a machine that does much else at the same time."""


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_nothing_is_accepted_after_a_receipt_and_it_recovers(three: Team, fault: Fault) -> None:
    outcome = befall(three, fault, lasts_s=LEASE_S + 0.5)
    print(fault.name, outcome)
    assert outcome.wrongly == 0
    assert outcome.asked > 50
    assert outcome.receipt_s < LEASE_S + MARGIN_S
    if outcome.closed_s is not None:
        assert outcome.closed_s < LEASE_S + 0.1
