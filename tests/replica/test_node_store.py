"""The store of a node, on a real database: who wants a receipt gets one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

from keyscope.authority.ports import Writer
from keyscope.authority.receipts import Receipt, receipts
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.replica.confirming import Answered, Confirmer, Question
from keyscope.store.replica.lease import Lease
from keyscope.store.replica.store import NodeStore
from tests.nodes.team import wait
from tests.postgres import Databases

WAIT_S = 4.0


class Everywhere(Confirmer):
    """All nodes have everything."""

    def ask(self, question: Question) -> Answered:
        return Answered(True, Receipt(question.epoch or "", question.number, acknowledged=("a",)))


def test_who_repeats_a_change_has_a_receipt_also_where_another_thread_writes_it(
    databases: Databases, tmp_path: Path
) -> None:
    replica, record = tmp_path / "replica.db", PostgresStore.open(databases.fresh())
    replica.touch()
    store = NodeStore(record, replica, Lease.open(replica), Everywhere(replica), 1000)
    begun, goes_on = Event(), Event()

    def busy(_: Writer) -> None:
        begun.set()
        goes_on.wait(WAIT_S)

    def queued(write: Callable[[], object]) -> None:
        before = len(record._batches.waiting)
        threads.submit(write)
        wait(lambda: len(record._batches.waiting) > before, "it waits")

    found: list[Receipt | None] = []

    def repeat() -> None:
        with receipts() as given:
            store.write(lambda _: None)
        found.append(given.last)

    with ThreadPoolExecutor(3) as threads:
        threads.submit(store.write, busy)
        assert begun.wait(WAIT_S)
        queued(lambda: store.write(lambda _: None))  # this one writes for both
        queued(repeat)
        goes_on.set()
    assert [receipt.acknowledged for receipt in found if receipt] == [("a",)]
    store.close()
