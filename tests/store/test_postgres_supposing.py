"""A batch takes for granted that ids, digests and requests are new; one that was not is found, and is alone in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from tests.postgres import Databases
from tests.store.batches import adding, together
from tests.store.samples import ACCOUNT, a_key, a_reply, an_event, digest, get, note, put

from keyscope.authority.ports import Former, StoredReply, Writer
from keyscope.store.postgres.store import PostgresStore

Work = Callable[[Writer], object]


@pytest.fixture
def store(databases: Databases) -> Iterator[PostgresStore]:
    store = PostgresStore.open(databases.fresh())
    put(store, a_key("key_0"))
    yield store
    store.close()


def once(number: int, writer: Writer) -> StoredReply | str:
    """As a mint does: the reply that is there, or a new key with one."""
    found = writer.reply("key_0", f"r{number}")
    if found is not None:
        return found
    adding(f"key_{number}")(writer)
    writer.add_reply(a_reply("key_0", f"r{number}", 1000))
    return f"key_{number}"


def names(store: PostgresStore) -> list[tuple[int, object]]:
    events = store.read(lambda reader: reader.events(ACCOUNT.id))
    return [(event.number, event.event.changes["name"]) for event in events]


def test_a_request_that_was_made_before_gets_its_reply_and_those_beside_it_theirs(store: PostgresStore) -> None:
    store.write(partial(once, 1))
    first, again, third = together(store, [partial(once, 2), partial(once, 1), partial(once, 3)])
    assert (first.result(), third.result()) == ("key_2", "key_3")
    assert again.result() == a_reply("key_0", "r1", 1000)
    assert names(store) == [(1, "key_1"), (2, "key_2"), (3, "key_3")]


def test_the_same_request_twice_in_one_batch_is_done_once(store: PostgresStore) -> None:
    first, twin, third = together(store, [partial(once, 1), partial(once, 1), partial(once, 2)])
    assert (first.result(), third.result()) == ("key_1", "key_2")
    assert twin.result() == a_reply("key_0", "r1", 1000)
    assert names(store) == [(1, "key_1"), (2, "key_2")]


def test_work_that_fails_only_because_it_took_its_request_for_new_does_not_fail(store: PostgresStore) -> None:
    store.write(partial(once, 1))

    def refused_anew(writer: Writer) -> StoredReply:
        found = writer.reply("key_0", "r1")
        if found is None:
            raise LookupError("a limit that the first request has used up")
        return found

    assert store.write(refused_anew) == a_reply("key_0", "r1", 1000)


@pytest.mark.parametrize("there", ["key", "former secret"])
def test_a_key_that_is_there_already_fails_alone_and_takes_no_number(store: PostgresStore, there: str) -> None:
    if there == "key":
        put(store, a_key("key_2", "key_0"))
    else:
        store.write(lambda writer: writer.put_former(Former(digest("key_2"), "key_0", None, 9)))
    before = get(store, "key_2")
    first, taken, third = together(store, [adding("key_1"), adding("key_2"), adding("key_3")])
    assert (first.result(), third.result()) == ("key_1", "key_3")
    assert isinstance(taken.exception(), ValueError)
    assert names(store) == [(1, "key_1"), (2, "key_3")]
    assert get(store, "key_2") == before


def test_what_others_had_sent_is_undone_with_the_batch_and_written_once(store: PostgresStore) -> None:
    store.write(partial(once, 1))

    def uses(writer: Writer) -> None:  # a statement of its own, so all before it is sent
        writer.add_event(an_event(name="used"))
        writer.record_use({"key_0": 7})

    works: list[Work] = [partial(once, 2), uses, partial(once, 1), adding("key_4", fails=True), partial(once, 3)]
    *_, failing, last = together(store, works)
    assert isinstance(failing.exception(), LookupError)
    assert last.result() == "key_3"
    assert names(store) == [(1, "key_1"), (2, "key_2"), (3, "used"), (4, "key_3")]
    assert store.read(lambda reader: reader.last_used_ms("key_0")) == 7


def test_a_reply_that_is_dropped_in_the_transaction_that_added_it_is_gone(store: PostgresStore) -> None:
    def work(writer: Writer) -> None:
        writer.add_reply(a_reply("key_0", "r1", 1000))
        writer.drop_replies(2000)
        assert writer.reply("key_0", "r1") is None
        writer.add_reply(a_reply("key_0", "r1", 3000))

    note(store, an_event())
    store.write(work)
    assert store.read(lambda reader: reader.reply("key_0", "r1")) == a_reply("key_0", "r1", 3000)
