"""A write that returned is durable, in the order of its number; whatever happens, none is half done."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NoReturn

import psycopg
import pytest
from tests.postgres import Databases, Server, running
from tests.store.batches import adding, together
from tests.store.outside import hear, python, say
from tests.store.samples import ACCOUNT, OTHER, a_key, a_query, an_event, digest, found, get, listed, note, put, replace

from keyscope.authority.ports import Account, Former, Reader, Selector, StoredEvent, Writer
from keyscope.errors import StoreUnavailable
from keyscope.store.postgres.store import PostgresStore


@pytest.fixture
def url(databases: Databases) -> str:
    return databases.fresh()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    store = PostgresStore.open(url)
    put(store, a_key("key_0"))
    yield store
    store.close()


def rows(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = keyscope")
        answer = connection.execute(statement.encode())
        return answer.fetchall() if answer.description else []


def changes(url: str) -> list[tuple[object, ...]]:
    return rows(url, "SELECT number, key_ids FROM changes ORDER BY number")


def test_each_write_that_touches_keys_is_one_change_with_the_next_number(store: PostgresStore, url: str) -> None:
    put(store, a_key("key_1", "key_0"), a_key("key_2", "key_0"))
    replace(store, a_key("key_1", "key_0", revoked_at_ms=5))
    note(store, an_event())
    store.write(lambda writer: writer.put_former(Former(digest("old"), "key_2", None, 9)))
    store.write(lambda writer: writer.revoke_derived("key_0", "drv_1", 5))
    touched = [["key_0"], ["key_1", "key_2"], ["key_1"], ["key_2"], ["key_0"]]
    assert changes(url) == list(enumerate(touched, start=1))
    assert rows(url, "SELECT change, event FROM numbers") == [(5, 2)]


def test_a_write_that_fails_gives_no_number(store: PostgresStore, url: str) -> None:
    def work(writer: Writer) -> NoReturn:
        writer.add_key(a_key("key_1", "key_0"))
        writer.add_event(an_event())
        raise LookupError

    with pytest.raises(LookupError):
        store.write(work)
    put(store, a_key("key_2", "key_0"))
    assert changes(url) == [(1, ["key_0"]), (2, ["key_2"])]
    assert store.read(lambda reader: reader.last_number()) == 0


def test_a_write_knows_the_number_of_its_change(store: PostgresStore) -> None:
    def work(writer: Writer) -> tuple[int, int]:
        before = writer.change  # type: ignore[attr-defined]
        writer.add_key(a_key("key_1", "key_0"))
        return before, writer.change  # type: ignore[attr-defined]

    assert store.write(work) == (1, 2)


def test_who_follows_is_woken_by_the_commit(store: PostgresStore, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as follower:
        follower.execute("LISTEN keyscope_changes")
        put(store, a_key("key_1", "key_0"))
        note(store, an_event())
        put(store, a_key("key_2", "key_0"))
        woken = [notice.payload for notice in follower.notifies(timeout=10, stop_after=2)]
    assert woken == ["2", "3"]


def test_writes_that_wait_share_a_commit_and_one_that_fails_undoes_itself_alone(store: PostgresStore, url: str) -> None:
    works = [adding("key_1"), adding("key_2", fails=True), adding("key_3"), adding("key_3"), adding("key_4")]
    first, second, third, twin, fourth = together(store, works)
    assert [future.result() for future in (first, third, fourth)] == ["key_1", "key_3", "key_4"]
    assert isinstance(second.exception(), LookupError)
    assert isinstance(twin.exception(), ValueError)
    assert changes(url) == [(1, ["key_0"]), (2, ["key_1"]), (3, ["key_3"]), (4, ["key_4"])]
    assert len(rows(url, "SELECT DISTINCT xmin::text FROM changes WHERE number > 1")) == 1
    events = store.read(lambda reader: reader.events(ACCOUNT.id))
    assert [(event.number, event.event.changes["name"]) for event in events] == [
        (1, "key_1"),
        (2, "key_3"),
        (3, "key_4"),
    ]


_MINTING = """
import sys
from concurrent.futures import ThreadPoolExecutor
from keyscope.store.open import open_store
from tests.store.samples import a_key, an_event
store = open_store(sys.argv[1])
def mint(number):
    def work(writer):
        writer.add_key(a_key(f"key_{sys.argv[2]}_{number}", "key_0"))
        writer.add_event(an_event(name=number))
    store.write(work)
with ThreadPoolExecutor(4) as pool:
    list(pool.map(mint, range(50)))
store.close()
"""


def _after(number: int, reader: Reader) -> list[StoredEvent]:
    return reader.changes(after=number)


def test_whoever_reads_numbers_in_their_order_misses_none_of_several_processes(store: PostgresStore, url: str) -> None:
    seen: list[int] = []
    processes = [python(_MINTING, url, number) for number in range(3)]
    while len(seen) < 150:
        seen += [stored.number for stored in store.read(partial(_after, len(seen)))]
        assert seen == list(range(1, len(seen) + 1))
        assert all(process.poll() in (None, 0) for process in processes)
    for process in processes:
        process.communicate(timeout=30)
    assert [number for number, _ in changes(url)] == list(range(1, 152))


def test_words_that_look_like_sql_are_kept_as_they_are(store: PostgresStore) -> None:
    names = ["'; DROP TABLE keys; --", "%s %(name)s %%", ":name ?", "\\'", "$1", '"x"', "{}", "E'\\\\x00'", "☃\u202e"]
    put(store, *(a_key(f"key_{n}", "key_0", name=name) for n, name in enumerate(names, start=1)))
    for number, name in enumerate(names, start=1):
        key = get(store, f"key_{number}")
        assert key is not None
        assert key.name == name
        assert f"key_{number}" in listed(store, name=name)
        chosen = store.read(lambda reader, name=name: reader.selected(ACCOUNT.id, Selector(name_prefix=name)))  # type: ignore[misc]
        assert f"key_{number}" in [key.id for key in chosen]
    for wrong in ("key_1' OR '1'='1", "%", "?"):
        assert get(store, wrong) is None


def test_what_postgresql_cannot_keep_fails_alone(store: PostgresStore) -> None:
    works: list[Callable[[Writer], object]] = [
        adding("key_1"),
        lambda writer: writer.add_account(Account("acct_9", "a\0b", 1)),
        adding("key_2"),
    ]
    first, second, third = together(store, works)
    assert (first.result(), third.result()) == ("key_1", "key_2")
    assert isinstance(second.exception(), StoreUnavailable)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET at_ms = 0",
        "DELETE FROM events",
        "TRUNCATE events",
        "DELETE FROM keys",
        "DELETE FROM records",
        "TRUNCATE records",
    ],
)
def test_events_are_append_only_and_keys_are_never_deleted(store: PostgresStore, url: str, statement: str) -> None:
    note(store, an_event())
    with pytest.raises(psycopg.errors.RaiseException, match=r"append-only|never deleted"):
        rows(url, statement)


def test_readers_cannot_write(store: PostgresStore) -> None:
    with pytest.raises(StoreUnavailable, match="read-only"):
        store.read(lambda reader: reader._connection.execute("DELETE FROM replies").fetchone())  # type: ignore[attr-defined]
    assert get(store, "key_0") is not None


def test_commits_are_durable_whatever_the_database_was_set_to(url: str) -> None:
    rows(url, f"ALTER DATABASE {url.rpartition('/')[2]} SET synchronous_commit = off")
    store = PostgresStore.open(url)
    with store._writers.link() as link:
        assert link.execute("SHOW synchronous_commit").fetchone() == ("on",)
    store.close()


def test_a_record_that_was_damaged_is_never_accepted(store: PostgresStore, url: str) -> None:
    rows(url, "UPDATE records SET record = set_byte(record, 20, get_byte(record, 20) # 1)")
    for use in (lambda: get(store, "key_0"), lambda: found(store, "key_0")):
        with pytest.raises(StoreUnavailable, match="checksum"):
            use()


def test_a_connection_that_was_cut_is_replaced_without_anybody_noticing(store: PostgresStore, url: str) -> None:
    get(store, "key_0")
    for number in range(1, 4):
        rows(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keyscope'")
        while rows(url, "SELECT 1 FROM pg_stat_activity WHERE application_name = 'keyscope'"):
            pass
        put(store, a_key(f"key_{number}", "key_0"))
        assert get(store, f"key_{number}") is not None


def test_another_node_that_writes_for_too_long_makes_this_one_unavailable(
    store: PostgresStore, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(url) as other:
        other.execute("SELECT * FROM keyscope.numbers FOR UPDATE")
        with store._writers.link() as link:
            link.execute("SET lock_timeout = '50ms'")
        with pytest.raises(StoreUnavailable, match="lock timeout"):
            put(store, a_key("key_1"))
        assert get(store, "key_0") is not None
        store.check()
    put(store, a_key("key_1"))
    assert get(store, "key_1") is not None


_KILLED = """
import sys
from keyscope.store.open import open_store
from tests.store.samples import a_key, an_event
store = open_store(sys.argv[1])
def work(writer):
    writer.add_key(a_key("key_half", "key_0"))
    writer.add_event(an_event())
    assert writer.key("key_half") is not None
    print("written", flush=True)
    sys.stdin.readline()
store.write(work)
"""


def test_a_node_that_is_killed_while_it_writes_leaves_nothing_and_stops_nobody(store: PostgresStore, url: str) -> None:
    process = python(_KILLED, url)
    assert hear(process) == "written"
    process.kill()
    process.communicate()
    put(store, a_key("key_1", "key_0"))
    assert get(store, "key_half") is None
    assert changes(url) == [(1, ["key_0"]), (2, ["key_1"])]


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    with running() as server:
        yield server


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_a_server_that_is_restarted_has_every_write_and_the_store_goes_on(own_server: Server, mode: str) -> None:
    url = own_server.database()
    store = PostgresStore.open(url)
    put(store, a_key("key_0"))
    index = store.open_index()
    own_server.stop(mode)
    for use in (lambda: get(store, "key_0"), lambda: index.find(digest("key_0")), lambda: put(store, a_key("key_1"))):
        with pytest.raises(StoreUnavailable):
            use()
    with pytest.raises(StoreUnavailable):
        store.check()
    own_server.start()
    put(store, a_key("key_1"))
    assert index.find(digest("key_1")) is not None
    assert get(store, "key_0") is not None
    store.check()
    store.close()


def test_a_server_that_hangs_is_given_up(own_server: Server) -> None:
    url = own_server.database()
    store = PostgresStore.open(url)
    put(store, a_key("key_0"))
    with store._readers.link() as link:
        link.patience_s = 0.2
        backend = link.info.backend_pid
    os.kill(backend, signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match="no answer within"):
            get(store, "key_0")
    finally:
        os.kill(backend, signal.SIGCONT)
    assert get(store, "key_0") is not None
    store.close()


def _mint(store: PostgresStore) -> None:
    put(store, a_key("key_1"))


def _record(store: PostgresStore) -> None:
    store.open_things().add(ACCOUNT.id, [("devboxes", "dbx_1")], ["key_0"], 1)


@pytest.mark.parametrize("write", [_mint, _record])
def test_a_commit_that_no_standby_confirms_is_an_error(
    own_server: Server, write: Callable[[PostgresStore], None]
) -> None:
    url = own_server.database()
    store = PostgresStore.open(url)
    put(store, a_key("key_0"))
    rows(url, "ALTER SYSTEM SET synchronous_standby_names = 'standby'")
    try:
        rows(url, "SELECT pg_reload_conf()")
        while rows(url, "SHOW synchronous_standby_names") != [("standby",)]:
            pass
        with ThreadPoolExecutor(1) as pool:
            writing = pool.submit(write, store)
            while not rows(url, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"):
                pass
            with pytest.raises(StoreUnavailable, match="may not last"):
                writing.result()
    finally:
        rows(url, "ALTER SYSTEM RESET synchronous_standby_names")
        rows(url, "SELECT pg_reload_conf()")
    put(store, a_key("key_2"))
    store.close()


_WRITING = """
import sys
from keyscope.errors import StoreUnavailable
from keyscope.store.open import open_store
from tests.store.samples import a_key
store = open_store(sys.argv[1])
number = 0
for line in sys.stdin:
    try:
        while True:
            store.write(lambda writer: writer.add_key(a_key(f"key_{number}")))
            number += 1
            if number % 20 == 0 and line == "some\\n":
                break
    except StoreUnavailable:
        pass
    print(number, flush=True)
"""


def test_a_server_that_is_killed_under_writes_loses_none_that_returned(own_server: Server) -> None:
    url = own_server.database()
    store = PostgresStore.open(url)
    note(store, ACCOUNT, OTHER)
    writing = python(_WRITING, url)
    assert say(writing, "some") == "20"
    assert writing.stdin is not None
    writing.stdin.write("all\n")
    writing.stdin.flush()
    while store.read(lambda reader: reader.keys(a_query(kind=a_key("x").kind)).total) < 60:
        pass
    own_server.stop("immediate")
    told = int(hear(writing))
    own_server.start()
    kept = store.read(lambda reader: reader.keys(a_query(kind=a_key("x").kind, limit=1)).total)
    assert told <= kept <= told + 1  # the one under way may have been committed, and nobody was told
    writing.communicate()
    store.close()
