"""Every run of the protocol keeps the law, and each deliberate bug breaks it (docs/decisions/0020)."""

from __future__ import annotations

import pytest

from tests.model.protocol import Bug, Protocol, explore


@pytest.mark.parametrize(("nodes", "lease"), [(3, 1), (2, 2), (1, 4)])
def test_no_node_accepts_a_key_after_the_receipt_of_its_revocation(nodes: int, lease: int) -> None:
    found = explore(Protocol(lease), nodes)
    assert not found.way, "\n".join(found.way)
    assert found.worlds > 10_000


@pytest.mark.parametrize("nodes", [1, 3])
@pytest.mark.parametrize("bug", Bug)
def test_a_bug_is_found(bug: Bug, nodes: int) -> None:
    found = explore(Protocol(2, bug), nodes)
    assert found.way, f"{bug.name} breaks nothing in {found.worlds} worlds"
