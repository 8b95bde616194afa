"""What is wrong in a database is found by a check, whatever it is, and nothing is found in one that is whole."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from tests.postgres import Databases
from tests.store.samples import ACCOUNT, a_key, an_event, digest, note, put

from keyscope.authority.ports import Former, Store
from keyscope.store.moving import Movable
from keyscope.store.postgres.moving import PostgresMoving
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.sqlite import SqliteStore
from keyscope.store.sqlite_moving import SqliteMoving
from keyscope.store.things import things_beside
from keyscope.store.whole import faults

Damage = Callable[[str], object]

DAMAGES = {
    "UPDATE records SET record = substr(record, 1, 40)": "missing or damaged",
    "UPDATE keys SET revoked_at_ms = NULL, name = 'x' WHERE id = 'key_2'": "says something else",
    "UPDATE keys SET parent_id = 'key_9' WHERE id = 'key_2'": "broken",
    "UPDATE keys SET parent_id = 'key_3' WHERE id = 'key_2'": "broken",
    "UPDATE keys SET digest = (SELECT digest FROM former_secrets) WHERE id = 'key_3'": "that no key leads to",
    "UPDATE keys SET account_id = 'acct_9' WHERE id = 'key_2'": "account is not there",
    "UPDATE former_secrets SET key_id = 'key_1'": "leads to no key, or to another",
    "UPDATE former_secrets SET record = substr(record, 1, 40)": "earlier secret",
    "UPDATE key_totals SET total = total + 1 WHERE kind = 'rk'": "miscounted",
    "INSERT INTO things VALUES ('acct_9', 'devboxes', 'dbx_9', 'key_1', 1)": "dbx_9: its account is not there",
    "INSERT INTO things SELECT id, 'devboxes', 'dbx_9', 'key_1  key_2', 1 FROM accounts": "are not readable",
}
OF_POSTGRES = {
    "UPDATE numbers SET change = change + 1": "and 4 were given",
    "UPDATE numbers SET event = 7": "and 7 were given",
    "DELETE FROM changes WHERE number = 2": "numbered from 1 to 3",
}


def fill(store: Store) -> None:
    put(store, a_key("key_1"), a_key("key_2", "key_1", revoked_at_ms=5), a_key("key_3", "key_2"))
    put(store, a_key("key_4", "key_1"))
    note(store, an_event(), an_event(), an_event())
    store.write(lambda writer: writer.put_former(Former(digest("old"), "key_3", None, 9)))
    with closing(store.open_things()) as things:
        things.add(ACCOUNT.id, [("devboxes", "dbx_1")], ("drv_1", "key_4", "key_1"), 9)


def found(movable: Movable) -> list[str]:
    checked = movable.read(lambda reader: [*faults(reader), *movable.own_faults(reader)])
    return [f"{fault.of}: {fault.message}" for fault in checked if fault.of != "postgresql.conf"]


@pytest.fixture(params=["sqlite", "postgres"])
def movable(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Movable, Damage]]:
    if request.param == "sqlite":
        with closing(SqliteStore.open(tmp_path / "keyscope.db")) as store:
            fill(store)
            other = sqlite3.connect(store.path, isolation_level=None)
            other.execute("ATTACH DATABASE ? AS beside", (str(things_beside(store.path)),))
            yield SqliteMoving(store), other.execute
            other.close()
        return
    databases: Databases = request.getfixturevalue("databases")
    with closing(PostgresStore.open(databases.fresh())) as kept:
        fill(kept)
        with psycopg.connect(**kept.address.parameters, autocommit=True) as link:  # type: ignore[arg-type]
            link.execute("SET search_path = keyscope")
            yield PostgresMoving(kept), lambda statement: link.execute(statement.encode())


def test_nothing_is_found_in_a_database_that_is_whole(movable: tuple[Movable, Damage]) -> None:
    assert found(movable[0]) == []


@pytest.mark.parametrize("statement", DAMAGES, ids=range(len(DAMAGES)))
def test_whatever_is_damaged_is_found(movable: tuple[Movable, Damage], statement: str) -> None:
    checked, damage = movable
    damage(statement)
    said = found(checked)
    assert any(DAMAGES[statement] in sentence for sentence in said), said


@pytest.mark.parametrize("statement", OF_POSTGRES)
def test_numbers_that_do_not_fit_are_found(databases: Databases, statement: str) -> None:
    url = databases.fresh()
    with closing(PostgresStore.open(url)) as store:
        fill(store)
        databases.server.run(f"SET search_path = keyscope; {statement}", url.rpartition("/")[2])
        said = found(PostgresMoving(store))
        assert any(OF_POSTGRES[statement] in sentence for sentence in said), said


def test_a_server_that_does_not_sync_is_named(databases: Databases) -> None:
    with closing(PostgresStore.open(databases.fresh())) as store:
        movable = PostgresMoving(store)
        messages = [fault.message for fault in movable.read(lambda reader: list(movable.own_faults(reader)))]
    assert any("fsync is off: a power failure can lose" in message for message in messages)
