"""Writes that wait for each other, and so share a commit."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event

from tests.store.samples import a_key, an_event

from keyscope.authority.ports import Writer
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.sqlite import SqliteStore


def together(store: SqliteStore | PostgresStore, works: list[Callable[[Writer], object]]) -> list[Future[object]]:
    """Run these works in one batch: they arrive while another write goes on."""
    entered, leave = Event(), Event()

    def hold(_: Writer) -> None:
        entered.set()
        assert leave.wait(10)

    with ThreadPoolExecutor(len(works) + 1) as pool:
        holder = pool.submit(store.write, hold)
        assert entered.wait(10)
        waiting = []
        for number, work in enumerate(works, start=1):
            waiting.append(pool.submit(store.write, work))
            while len(store._batches.waiting) < number:  # the order of arrival is part of what is tested
                pass
        leave.set()
        holder.result()
        return waiting


def adding(name: str, *, fails: bool = False) -> Callable[[Writer], object]:
    """Add a key and an event of this name; then raise LookupError, if it is to fail."""

    def work(writer: Writer) -> str:
        writer.add_key(a_key(name, "key_0"))
        writer.add_event(an_event(name=name))
        if fails:
            raise LookupError(name)
        return name

    return work
