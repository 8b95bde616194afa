"""Whatever keeps a PostgreSQL database from being opened is said in a sentence with a remedy, and never a password."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.postgres import Databases
from tests.store.outside import end, hear, python
from tests.store.samples import a_key, an_event, get, note, put

from keyscope.errors import ConfigurationError, StoreUnavailable
from keyscope.store.open import open_store, without_password
from keyscope.store.postgres.address import parse
from keyscope.store.postgres.migrate import steps

PASSWORD = "hunter2"


def refusal(url: str, beside: Path | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        open_store(url, beside)
    (fault,) = caught.value.faults
    assert fault == ("database", caught.value.detail)
    assert PASSWORD not in repr(caught.value.__cause__) + repr(caught.value.__context__) + fault.message
    return fault.message


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://me:{PASSWORD}%@localhost/keyscope",
        f"postgresql://me:x/{PASSWORD}@localhost/keyscope",
        f"postgresql://me:{PASSWORD}@localhost:54x/keyscope",
        f"postgresql://localhost/keyscope?{PASSWORD}",
        f"postgresql://localhost/keyscope?{PASSWORD}=1",
    ],
)
def test_a_url_that_cannot_be_read_is_not_repeated(url: str) -> None:
    assert "cannot be read. Write postgresql://" in refusal(url)


def test_the_address_for_people_has_hosts_and_database_and_no_more() -> None:
    url = f"postgresql://me:{PASSWORD}@one:5433,two:5434/keyscope?sslmode=require"
    assert without_password(url) == "postgresql://one:5433,two:5434/keyscope"
    assert repr(parse(url)) == "Address(postgresql://one:5433,two:5434/keyscope)"
    assert without_password("sqlite:///keyscope.db") == "sqlite:///keyscope.db"


def test_of_several_hosts_the_one_is_used_that_can_be_written_to() -> None:
    assert parse("postgresql://one,two/keyscope").parameters["target_session_attrs"] == "read-write"
    assert parse("postgresql://one/keyscope?connect_timeout=2").parameters["connect_timeout"] == "2"


def test_a_server_that_is_not_there_is_named() -> None:
    sentence = refusal(f"postgresql://me:{PASSWORD}@127.0.0.1:1/keyscope")
    assert "The database postgresql://127.0.0.1:1/keyscope cannot be used. There is no connection" in sentence
    assert "refused" in sentence


def test_a_database_that_is_not_there_is_named(databases: Databases) -> None:
    sentence = refusal(databases.server.url("nowhere"))
    assert 'database "nowhere" does not exist' in sentence


def test_a_user_who_may_not_make_tables_is_told_what_is_needed(databases: Databases) -> None:
    url = databases.empty()
    databases.server.run(f"CREATE ROLE guest LOGIN PASSWORD '{PASSWORD}'")
    assert "Make it the owner" in refusal(url.replace("//postgres@", f"//guest:{PASSWORD}@"))


def test_a_newer_schema_is_refused_with_both_versions(databases: Databases) -> None:
    url = databases.fresh()
    newer = "UPDATE keyscope.meta SET value = '99' WHERE name IN ('schema_version', 'needs_step')"
    databases.server.run(newer, url.rpartition("/")[2])
    assert f"has schema version 99; this Keyscope knows versions up to {len(steps())}" in refusal(url)


def test_a_database_without_its_tables_is_refused(databases: Databases) -> None:
    url = databases.fresh()
    databases.server.run("DROP TABLE keyscope.numbers", url.rpartition("/")[2])
    assert "It may be damaged: restore it from a backup" in refusal(url)


def test_a_database_that_was_emptied_is_an_error_and_no_fresh_start(databases: Databases, tmp_path: Path) -> None:
    url, beside = databases.fresh(), tmp_path / "node" / "replica.db"
    store = open_store(url, beside)
    put(store, a_key("key_1"))
    databases.server.run("DROP SCHEMA keyscope CASCADE", url.rpartition("/")[2])
    uses: list[Callable[[], object]] = [store.check, lambda: get(store, "key_1"), lambda: put(store, a_key("key_2"))]
    for use in uses:
        with pytest.raises(StoreUnavailable):
            use()
    store.close()
    assert "is empty, and was not" in refusal(url, beside)
    beside.with_name("replica.db.marker").unlink()
    open_store(url, beside).close()


def test_another_database_in_its_place_is_an_error(databases: Databases, tmp_path: Path) -> None:
    url, beside = databases.fresh(), tmp_path / "replica.db"
    store = open_store(url, beside)
    change = "UPDATE keyscope.meta SET value = repeat('0', 32) WHERE name = 'database_id'"
    databases.server.run(change, url.rpartition("/")[2])
    with pytest.raises(StoreUnavailable, match="another id"):
        put(store, a_key("key_1"))
    with pytest.raises(StoreUnavailable, match="another id"):
        store.check()
    store.close()
    assert "is not the database that" in refusal(url, beside)


def test_an_older_state_of_the_database_is_an_error(databases: Databases, tmp_path: Path) -> None:
    url, beside = databases.fresh(), tmp_path / "replica.db"
    store = open_store(url, beside)
    note(store, an_event(), an_event())
    store.close()
    open_store(url, beside).close()
    databases.server.run("UPDATE keyscope.numbers SET event = 1", url.rpartition("/")[2])
    assert "holds 1 events and had 2" in refusal(url, beside)


_OPEN = """
import sys
from keyscope.store.open import open_store
from keyscope.authority.ports import Account
store = open_store(sys.argv[1])
store.write(lambda writer: writer.add_account(Account("acct_" + sys.argv[2], "One", 1)))
print(store._id)
store.close()
"""


def test_ten_processes_that_start_at_once_on_an_empty_database_migrate_it_once(databases: Databases) -> None:
    url = databases.empty()
    processes = [python(_OPEN, url, number) for number in range(10)]
    assert len({end(process) for process in processes}) == 1
    assert all(process.returncode == 0 for process in processes)
    store = open_store(url)
    assert len(store.read(lambda reader: reader.accounts())) == 10
    store.close()


_HOLD = """
import sys
from keyscope.store.postgres import migrate
from keyscope.store.postgres.address import parse
from keyscope.store.postgres.connect import connect
link = connect(parse(sys.argv[1]))
link.execute("BEGIN")
link.execute("SELECT pg_advisory_xact_lock(%s)", (migrate._LOCK,))
link.execute("CREATE SCHEMA keyscope")
print("held", flush=True)
sys.stdin.read()
"""


def test_a_node_that_dies_while_it_migrates_leaves_the_database_usable(databases: Databases) -> None:
    url = databases.empty()
    process = python(_HOLD, url)
    assert hear(process) == "held"
    process.kill()
    end(process)
    open_store(url).close()
