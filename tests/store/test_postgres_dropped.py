"""Old changes are dropped, and whoever needs one of them finds a gap, never nothing new."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest
from tests.postgres import Databases
from tests.store.samples import a_key, an_event, note, put, replace

from keyscope.authority.mint import Minting, Wanted
from keyscope.authority.replay import Repeatable
from keyscope.model.event import Origin
from keyscope.model.key import Lineage
from keyscope.model.scope import Scope
from keyscope.model.secret import Secret
from keyscope.model.token import Kind
from keyscope.store.postgres.moving import PostgresMoving
from keyscope.store.postgres.query import DROP_EVERY, KEPT_CHANGES
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.postgres.whole import faults_of_postgres
from keyscope.store.replica.changes import Changes
from keyscope.store.replica.record import Record
from keyscope.store.whole import Fault
from keyscope.system import SystemClock, SystemEntropy

BEFORE = 150_000
"""Changes of a database that has never dropped any."""
MADE = (
    f"INSERT INTO changes SELECT number, ARRAY['key_0'] FROM generate_series(2, {BEFORE - 1}) AS number",
    f"UPDATE numbers SET change = {BEFORE - 1}",
)


SAID = {"events": 430, "keys records": 890, "replies": 300, "changes": 150}
"""Bytes a row, as docs/postgres.md says."""


def run(url: str, *statements: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET search_path = keyscope")
        for statement in statements:
            connection.execute(statement.encode())


def kept(url: str) -> tuple[int, int, int]:
    """First, last, how many."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT min(number), max(number), count(*) FROM keyscope.changes").fetchone()
    assert row is not None
    return row


def faults(store: PostgresStore) -> list[Fault]:
    found = PostgresMoving(store).read(lambda reader: [*faults_of_postgres(reader)])
    return [fault for fault in found if fault.of != "postgresql.conf"]


@pytest.fixture
def url(databases: Databases) -> str:
    return databases.fresh()


@pytest.fixture
def store(url: str) -> Iterator[PostgresStore]:
    with closing(PostgresStore.open(url)) as store:
        put(store, a_key("key_0"))
        yield store


def test_so_many_are_kept_and_more_are_dropped_oldest_first_a_few_at_a_time(store: PostgresStore, url: str) -> None:
    run(url, *MADE)
    note(store, an_event())
    assert kept(url) == (1, BEFORE - 1, BEFORE - 1)
    replace(store, a_key("key_0", name="crosses"))
    assert kept(url) == (5001, BEFORE, BEFORE - 5000)
    assert faults(store) == []
    replace(store, a_key("key_0", name="does not"))
    assert kept(url)[0] == 5001
    for _ in range(12):
        last = kept(url)[1]
        number = (last // DROP_EVERY + 1) * DROP_EVERY - 1
        run(
            url,
            f"INSERT INTO changes SELECT number, '{{}}' FROM generate_series({last + 1}, {number}) AS number",
            f"UPDATE numbers SET change = {number}",
        )
        replace(store, a_key("key_0", name=f"crosses at {number}"))
    first, last, count = kept(url)
    assert (last - first + 1, first) == (count, last - KEPT_CHANGES + 1)
    assert faults(store) == []


def test_one_that_is_missing_among_those_that_are_kept_is_found(store: PostgresStore, url: str) -> None:
    put(store, *(a_key(f"key_{number}", "key_0") for number in range(1, 3)))
    replace(store, a_key("key_0", name="again"))
    for missing in ("number = 2", "number = 1", "number = 3"):
        run(url, f"DELETE FROM changes WHERE {missing}")
        assert [fault.of for fault in faults(store)] == ["changes"], missing
        run(url, "INSERT INTO changes SELECT number, '{}' FROM generate_series(1, 3) AS number ON CONFLICT DO NOTHING")


def test_whoever_is_behind_what_is_kept_sees_a_gap_wherever_it_stands(store: PostgresStore, url: str) -> None:
    for number in range(1, 6):
        put(store, a_key(f"key_{number}", "key_0"))

    async def read(after: int) -> Changes:
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            record = Record(connection)
            await record.begin()
            return await record.changes(after)

    for dropped in range(6):
        run(url, f"DELETE FROM changes WHERE number <= {dropped}")
        for after in range(7):
            changes = asyncio.run(read(after))
            assert changes.follow(after) == (after >= dropped)
            assert bool(changes.numbers) == (after < 6)


def mints(store: PostgresStore, many: int) -> None:
    caller, secret = Lineage(a_key("key_0")), Secret("ak_" + "0" * 48)
    minting = Minting(store, SystemClock(), SystemEntropy())
    wanted = Wanted(kind=Kind.RESTRICTED, scopes=(Scope.parse("devboxes:read"),))

    def mint(number: int) -> bytes:
        repeat = Repeatable(str(number), "POST /v1/restricted_keys", b"{}", secret)
        return minting.mint(caller, wanted, Origin(("key_0",)), lambda minted: minted.key.id.encode(), repeat)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(mint, range(many)))


def test_a_mint_takes_as_much_room_as_the_page_says(store: PostgresStore, url: str) -> None:
    mints(store, 1500)
    with psycopg.connect(url) as connection:
        for tables, said in SAID.items():
            of = " + ".join(f"pg_total_relation_size('keyscope.{name}')" for name in tables.split())
            row = connection.execute(f"SELECT ({of}) / 1500".encode()).fetchone()
            assert row is not None
            assert row[0] == pytest.approx(said, rel=0.25), tables


def test_mints_read_no_table_from_end_to_end_although_it_was_empty_when_they_were_planned(
    store: PostgresStore, url: str
) -> None:
    mints(store, 300)
    store.close()  # at its end a connection tells what it has read
    read = "SELECT sum(n_tup_ins), sum(seq_tup_read) FROM pg_stat_user_tables WHERE relname = ANY (%s)"
    made = seen = 0
    with psycopg.connect(url, autocommit=True) as connection:
        while made < 900:
            row = connection.execute(read, (["keys", "records", "replies"],)).fetchone()
            made, seen = row or (0, 0)
    assert seen < 300
