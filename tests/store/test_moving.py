"""A whole authority moves from SQLite to PostgreSQL and back, and what arrives is proved to be what left."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace as with_
from tests.postgres import Databases
from tests.store.contract_sessions import a_session
from tests.store.samples import ACCOUNT, NOW, a_key, a_query, a_reply, an_event, digest, note, put, replace, use

from keyscope.authority.ports import DeadUses, Former, Store, StoredLeak, Writer
from keyscope.errors import ConfigurationError, StoreUnavailable
from keyscope.model.run import Run
from keyscope.store.moving import OWN, Moved, copy, measure
from keyscope.store.open import open_store
from keyscope.store.postgres.moving import PostgresMoving
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.sqlite import SqliteStore
from keyscope.store.sqlite_moving import SqliteMoving


def fill(store: Store) -> None:
    """Something in every table."""
    put(store, a_key("key_1"), *(a_key(f"key_{n}", "key_1", name="Wurzel ☃ '") for n in range(2, 300)))
    put(store, with_(a_key("key_300", "key_1"), run=Run(devbox_id="dbx_1", lease_until_ms=NOW)))
    replace(store, a_key("key_2", "key_1", revoked_at_ms=5))
    note(store, a_reply(), an_event(name=["a", "b"]), an_event(on=True))
    use(store, {"key_3": 7})

    def work(writer: Writer) -> None:
        writer.put_former(Former(digest("old"), "key_3", b"s" * 32, 9))
        writer.revoke_derived("key_3", "drv_1", 5)
        writer.record_dead_uses({"key_3": DeadUses(2, 5)})
        writer.put_leak(StoredLeak(digest("x"), "key_3", NOW, True))
        writer.put_leak(StoredLeak(digest("y"), "key_3", NOW, False))
        writer.set_rules(ACCOUNT.id, b'{"a":1}')
        writer.put_session(a_session("one"))

    store.write(work)
    with closing(store.open_things()) as things:
        things.add(ACCOUNT.id, [("devboxes", f"dbx_{n}") for n in range(300)], ("drv_1", "key_2", "key_1"), NOW)
        things.add(ACCOUNT.id, [("snapshots", "a'\"\\☃")], ("key_1",), NOW + 1)


@pytest.fixture
def sqlite(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore.open(tmp_path / "keyscope.db")) as store:
        yield store


@pytest.fixture
def postgres(databases: Databases) -> Iterator[PostgresStore]:
    with closing(PostgresStore.open(databases.fresh())) as store:
        yield store


def test_both_have_the_same_tables_with_the_same_columns(sqlite: SqliteStore, postgres: PostgresStore) -> None:
    assert SqliteMoving(sqlite).shape() == PostgresMoving(postgres).shape()
    assert "keys" not in OWN


def test_a_copy_to_postgresql_and_back_is_the_same(
    sqlite: SqliteStore, postgres: PostgresStore, tmp_path: Path
) -> None:
    fill(sqlite)
    there = copy(SqliteMoving(sqlite), PostgresMoving(postgres))
    with closing(SqliteStore.open(tmp_path / "back.db")) as back:
        assert copy(PostgresMoving(postgres), SqliteMoving(back)) == there
        for store in (sqlite, postgres, back):
            assert store.read(lambda reader: reader.keys(a_query(limit=1)).total) == 299
            with closing(store.open_things()) as things:
                assert things.owners(ACCOUNT.id, [("devboxes", "dbx_7")]) == {
                    ("devboxes", "dbx_7"): {"drv_1", "key_2", "key_1"}
                }
    assert {one.table: one.rows for one in there}["things"] == 301


def test_numbers_go_on_after_a_copy(sqlite: SqliteStore, postgres: PostgresStore, tmp_path: Path) -> None:
    fill(sqlite)
    copy(SqliteMoving(sqlite), PostgresMoving(postgres))
    note(postgres, an_event())
    assert postgres.read(lambda reader: reader.last_number()) == 4
    put(postgres, a_key("key_new", "key_1"))
    with closing(SqliteStore.open(tmp_path / "back.db")) as back:
        copy(PostgresMoving(postgres), SqliteMoving(back))
        note(back, an_event())
        assert back.read(lambda reader: reader.last_number()) == 5
        assert back.read(lambda reader: reader.keys(a_query()).total) == 300


def test_nothing_is_copied_over_something(sqlite: SqliteStore, postgres: PostgresStore) -> None:
    put(sqlite, a_key("key_1"))
    put(postgres, a_key("key_9"))
    before = measure(PostgresMoving(postgres))
    with pytest.raises(ConfigurationError, match="is not empty"):
        copy(SqliteMoving(sqlite), PostgresMoving(postgres))
    assert measure(PostgresMoving(postgres)) == before


def test_a_copy_that_fails_half_way_leaves_nothing(sqlite: SqliteStore, postgres: PostgresStore) -> None:
    fill(sqlite)
    sqlite._writer.connection.execute("UPDATE keys SET name = 'a' || char(0) || 'b' WHERE id = 'key_9'")
    with pytest.raises(StoreUnavailable):
        copy(SqliteMoving(sqlite), PostgresMoving(postgres))
    assert not any(moved.rows for moved in measure(PostgresMoving(postgres)))


def test_a_digest_tells_apart_what_differs_in_one_value(tmp_path: Path) -> None:
    def of_keys(name: str) -> Moved:
        with closing(SqliteStore.open(tmp_path / f"{name}.db")) as store:
            put(store, a_key("key_1"), a_key("key_2", "key_1", name=name))
            (moved,) = [moved for moved in measure(SqliteMoving(store)) if moved.table == "keys"]
            return moved

    one, two = of_keys("one"), of_keys("two")
    assert one.rows == two.rows == 2
    assert one.digest != two.digest


def command(*arguments: str) -> tuple[int, str, str]:
    ended = subprocess.run(
        [sys.executable, "-m", "keyscope", "db", *arguments], capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stdout, ended.stderr


def test_the_commands_copy_and_check(databases: Databases, tmp_path: Path) -> None:
    here, there = f"sqlite:///{tmp_path}/keyscope.db", databases.empty()
    with closing(open_store(here)) as store:
        fill(store)
    code, out, error = command("copy", here, there)
    assert code == 0, error
    assert [line.split()[:2] for line in out.splitlines() if line.startswith("keys")] == [["keys", "300"]]
    assert f"holds what {here} holds" in error
    code, out, error = command("copy", here, there)
    assert (code, "is not empty" in error) == (2, True)
    assert command("check", "--database", here)[:2] == (0, f"{here} is whole.\n")
    code, out, _ = command("check", "--database", there)
    assert code == 1
    assert {line.partition(":")[0] for line in out.splitlines()} == {"postgresql.conf"}, out  # that of the tests
    assert "has the tables of this version" in command("upgrade", "--database", there)[2]
    assert "memory://" in command("check", "--database", "memory://")[2]
