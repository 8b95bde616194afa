"""What a follower answers who asks which nodes have a change, once or again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyscope.api.taking import everywhere
from keyscope.authority.receipts import Pending, Receipt, wanted
from keyscope.errors import StoreUnavailable
from keyscope.store.postgres.address import parse
from keyscope.store.replica.confirming import Confirmations, Question
from keyscope.store.replica.file import ReplicaFile
from keyscope.store.replica.following import Followed, Follower
from keyscope.store.replica.lease import Lease, now_ns
from keyscope.store.replica.record import Node
from keyscope.store.replica.registry import NodeRow

LEASE_MS = 5000


@pytest.fixture
def follower(tmp_path: Path) -> Iterator[Follower]:
    """One that follows nothing: what it knows of the nodes it is told here."""
    replica, lease = ReplicaFile.open(tmp_path / "replica.db"), Lease.open(tmp_path / "replica.db")
    followed = Followed(parse("postgresql://127.0.0.1/x"), Node("id-a", "a", "1", LEASE_MS))

    async def confirm() -> None: ...

    yield Follower(followed, replica, lease, confirm)
    replica.close()
    lease.close()


def looked(follower: Follower, *, beat: int = 1, a: int = 0, b: int = 0) -> None:
    rows = [NodeRow("id-a", "a", LEASE_MS, beat, a), NodeRow("id-b", "b", LEASE_MS, beat, b)]
    follower.registry.looked(rows, now_ns() + 3_600_000_000_000, now_ns())
    follower.bell.ring()


def asked(confirmations: Confirmations, question: Question) -> Receipt:
    answered = asyncio.run(confirmations.answer(question))
    assert answered.receipt is not None
    return answered.receipt


def test_who_asks_again_sees_the_same_leases_end_although_the_nodes_beat_on(follower: Follower) -> None:
    confirmations = Confirmations(follower)
    looked(follower)
    first = asked(confirmations, Question(4, 0, epoch=""))
    looked(follower, beat=2)
    again = asked(confirmations, Question(4, 20, epoch=""))
    assert [node.node for node in first.pending] == ["a", "b"]
    for before, after in zip(first.pending, again.pending, strict=True):
        assert abs(before.closes_by_ms - after.closes_by_ms) <= 2


def test_who_knows_a_receipt_does_not_wait_longer_than_for_another_one(follower: Follower) -> None:
    confirmations = Confirmations(follower)
    looked(follower)
    known = asked(confirmations, Question(4, 0, epoch="")).tag

    async def wait() -> Receipt | None:
        asking = asyncio.ensure_future(confirmations.answer(Question(4, 60_000, epoch="", known=known)))
        await asyncio.sleep(0)
        assert not asking.done()
        looked(follower, a=4)
        return (await asking).receipt

    receipt = asyncio.run(wait())
    assert receipt is not None
    assert (receipt.acknowledged, [node.node for node in receipt.pending]) == (("a",), ["b"])


def test_a_tag_changes_with_the_names_and_not_with_the_time() -> None:
    receipt = Receipt("e", 4, ("a",), (), (Pending("b", 1),))
    assert receipt.tag == Receipt("e", 4, ("a",), (), (Pending("b", 2),)).tag
    assert receipt.tag != Receipt("e", 4, ("a",), ("b",)).tag


def test_an_answer_without_a_place_for_a_receipt_is_none_while_a_node_is_pending() -> None:
    def work() -> str:
        receipts = wanted()
        assert receipts is not None
        receipts.put(receipt)
        return "done"

    receipt = Receipt("e", 4, ("a",), (), (Pending("b", 1),))
    with pytest.raises(StoreUnavailable):
        asyncio.run(everywhere(work))
    receipt = Receipt("e", 4, ("a",), ("b",))
    assert asyncio.run(everywhere(work)) == "done"
