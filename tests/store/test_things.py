"""The ledger of own things in memory, in a file and in PostgreSQL: the same rules, and what was written stays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from tests.postgres import Databases
from tests.store.contract_things import BOX, MANY, OTHER, ThingsContract

from keyscope.authority.things import Things
from keyscope.errors import ConfigurationError, StoreUnavailable
from keyscope.store.memory import MemoryStore
from keyscope.store.postgres import things as in_postgres
from keyscope.store.postgres.connect import connect
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.sqlite import SqliteStore
from keyscope.store.things import open_things


class TestSqliteThings(ThingsContract):
    """Two processes of one host."""

    @pytest.fixture
    def ledgers(self, tmp_path: Path) -> Iterator[tuple[Things, Things]]:
        path = tmp_path / "keyscope.db.things"
        with closing(open_things(path)) as one, closing(open_things(path)) as other:
            yield one, other

    @pytest.fixture
    def things(self, ledgers: tuple[Things, Things]) -> Things:
        return ledgers[0]

    @pytest.fixture
    def broken(self, tmp_path: Path) -> Things:
        ledger = open_things(tmp_path / "keyscope.db.things")
        ledger.close()
        return ledger


class TestThingsInMemory(TestSqliteThings):
    """One process."""

    @pytest.fixture
    def ledgers(self) -> Iterator[tuple[Things, Things]]:
        with closing(MemoryStore().open_things()) as things:
            yield things, things


class TestPostgresThings(ThingsContract):
    """Two nodes."""

    @pytest.fixture
    def stores(self, databases: Databases) -> Iterator[tuple[PostgresStore, PostgresStore]]:
        url = databases.fresh()
        with closing(PostgresStore.open(url)) as one, closing(PostgresStore.open(url)) as other:
            yield one, other

    @pytest.fixture
    def ledgers(self, stores: tuple[PostgresStore, PostgresStore]) -> tuple[Things, Things]:
        return stores[0].open_things(), stores[1].open_things()

    @pytest.fixture
    def things(self, ledgers: tuple[Things, Things]) -> Things:
        return ledgers[0]

    @pytest.fixture
    def broken(self, stores: tuple[PostgresStore, PostgresStore]) -> Things:
        ledger = stores[0].open_things()
        stores[0].close()
        return ledger

    def test_what_is_remembered_has_a_bound(
        self, ledgers: tuple[Things, Things], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(in_postgres, "MOST_KEPT", 100)
        ledgers[0].add("acct_1", MANY, ("key_1",), 1)
        assert len(ledgers[1].owners("acct_1", MANY)) == len(MANY)
        known = [thing for thing in MANY if ledgers[1].known("acct_1", [thing])]
        assert known == MANY[-100:]

    def test_a_thing_that_was_recorded_is_not_changed_by_anybody(
        self, stores: tuple[PostgresStore, PostgresStore], things: Things
    ) -> None:
        things.add("acct_1", [BOX], ("key_1",), 1)
        with closing(connect(stores[0].address)) as link:
            for statement in ("UPDATE things SET makers = 'key_2'", "DELETE FROM things"):
                with pytest.raises(psycopg.errors.RaiseException, match="keeps its first maker"):
                    link.execute(statement)

    def test_another_database_at_the_same_address_is_not_asked(self, databases: Databases) -> None:
        url = databases.fresh()
        with closing(PostgresStore.open(url)) as store:
            things = store.open_things()
            databases.server.run("UPDATE keyscope.meta SET value = 'x' WHERE name = 'database_id'", url.rsplit("/")[-1])
            with pytest.raises(StoreUnavailable, match="another id"):
                things.owners("acct_1", [BOX])
            with pytest.raises(StoreUnavailable, match="another id"):
                things.add("acct_1", [BOX], ("key_1",), 1)


def test_the_file_of_a_store_stays_and_is_found_again(tmp_path: Path) -> None:
    with ExitStack() as stack:
        store = stack.enter_context(closing(SqliteStore.open(tmp_path / "keyscope.db")))
        stack.enter_context(closing(things := store.open_things()))
        things.add("acct_1", [BOX], ("key_1",), 1)
    with closing(open_things(tmp_path / "keyscope.db.things")) as again:
        assert again.owners("acct_1", [BOX, OTHER]) == {BOX: {"key_1"}}


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keyscope.db.things").write_bytes(b"no database at all, and longer than a header of one" * 10)
    with pytest.raises(ConfigurationError):
        open_things(tmp_path / "keyscope.db.things")
