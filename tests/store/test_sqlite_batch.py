"""Writes that wait for each other share one commit, and nothing else: one that fails undoes itself alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Event

import pytest
from tests.store.batches import adding, together
from tests.store.samples import ACCOUNT, a_key, an_event, get, note

from keyscope.authority.ports import Writer
from keyscope.errors import StoreUnavailable
from keyscope.store.sqlite import SqliteStore


class Boom(Exception):
    """What a piece of work fails with here."""


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore.open(tmp_path / "keyscope.db")
    note(opened, ACCOUNT)
    opened.write(lambda writer: writer.add_key(a_key("key_0")))
    yield opened
    opened.close()


def failing(name: str) -> Callable[[Writer], object]:
    def work(writer: Writer) -> None:
        adding(name)(writer)
        raise Boom(name)

    return work


def commits(store: SqliteStore, work: Callable[[], object]) -> int:
    """How many commits another connection sees while ``work`` runs."""
    done: list[str] = []
    store._writer.connection.set_trace_callback(done.append)
    work()
    store._writer.connection.set_trace_callback(None)
    return done.count("COMMIT")


def test_several_writes_share_one_commit_and_each_gets_its_own_result(store: SqliteStore) -> None:
    names = [f"key_{number}" for number in range(1, 9)]
    results: list[object] = []

    def work() -> None:
        results.extend(future.result() for future in together(store, [adding(name) for name in names]))

    assert commits(store, work) == 2  # that of the write before them, and theirs
    assert results == names
    assert all(get(store, name) is not None for name in names)
    events = store.read(lambda reader: reader.events(ACCOUNT.id))
    assert [stored.event.changes["name"] for stored in events] == names


def test_one_that_fails_undoes_itself_alone(store: SqliteStore) -> None:
    first, second, third = together(store, [adding("key_1"), failing("key_2"), adding("key_3")])
    assert (first.result(), third.result()) == ("key_1", "key_3")
    with pytest.raises(Boom, match="key_2"):
        second.result()
    assert get(store, "key_2") is None
    events = store.read(lambda reader: reader.events(ACCOUNT.id))
    assert [stored.event.changes["name"] for stored in events] == ["key_1", "key_3"]


def test_a_commit_that_fails_fails_for_all_and_keeps_nothing(store: SqliteStore, tmp_path: Path) -> None:
    def hide(_: Writer) -> None:
        (tmp_path / "keyscope.db").rename(tmp_path / "elsewhere.db")

    store.write(hide)  # what is written from now on would be lost
    for waiting in together_or_not(store, [adding("key_1"), adding("key_2")]):
        assert isinstance(waiting.exception(), StoreUnavailable)
    (tmp_path / "elsewhere.db").rename(tmp_path / "keyscope.db")
    assert get(store, "key_1") is None
    assert get(store, "key_2") is None


def together_or_not(store: SqliteStore, works: list[Callable[[Writer], object]]) -> list[Future[object]]:
    with ThreadPoolExecutor(len(works)) as pool:
        return [pool.submit(store.write, work) for work in works]


def test_the_write_after_a_failed_batch_goes_on(store: SqliteStore) -> None:
    with pytest.raises(Boom):
        store.write(failing("key_1"))
    assert store.write(adding("key_1")) == "key_1"


def test_who_waits_too_long_is_told_and_leaves_no_write_behind(tmp_path: Path) -> None:
    store = SqliteStore.open(tmp_path / "keyscope.db", busy_timeout_s=0.2)
    note(store, ACCOUNT)
    entered, leave = Event(), Event()

    def hold(_: Writer) -> None:
        entered.set()
        assert leave.wait(10)

    with ThreadPoolExecutor(2) as pool:
        holder = pool.submit(store.write, hold)
        assert entered.wait(10)
        late = pool.submit(store.write, lambda writer: writer.add_key(a_key("key_1")))
        assert isinstance(late.exception(), StoreUnavailable)
        leave.set()
        holder.result()
    store.write(lambda writer: writer.add_event(an_event()))
    assert get(store, "key_1") is None
    store.close()
