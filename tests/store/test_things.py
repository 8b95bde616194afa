"""The ledger of own things, in memory and in a file: the same rules, and what is in a file stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from keyscope.errors import ConfigurationError, StoreUnavailable
from keyscope.store.things import SqliteThings, open_things, things_for

BOX, OTHER = ("devboxes", "dbx_1"), ("devboxes", "dbx_2")
MANY = [("devboxes", f"dbx_{number}") for number in range(50)]


@pytest.fixture(params=["memory", "file"])
def things(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteThings]:
    ledger = open_things(tmp_path / "keyscope.db.things" if request.param == "file" else None)
    yield ledger
    ledger.close()


def test_what_nobody_made_is_nobodys(things: SqliteThings) -> None:
    assert things.owners("acct_1", [BOX]) == things.owners("acct_1", MANY) == {}
    assert things.owners("acct_1", []) == {}


def test_a_thing_is_its_makers_and_of_all_above(things: SqliteThings) -> None:
    assert things.add("acct_1", [BOX], ("drv_1", "key_1", "key_0"), 1) == {BOX: {"drv_1", "key_1", "key_0"}}
    assert things.owners("acct_1", [BOX, OTHER]) == {BOX: {"drv_1", "key_1", "key_0"}}


def test_a_thing_keeps_its_first_maker(things: SqliteThings) -> None:
    things.add("acct_1", [BOX], ("key_1",), 1)
    assert things.add("acct_1", [BOX, OTHER], ("key_2",), 2) == {BOX: {"key_1"}, OTHER: {"key_2"}}


def test_accounts_and_types_are_apart(things: SqliteThings) -> None:
    things.add("acct_1", [BOX], ("key_1",), 1)
    assert things.owners("acct_2", [BOX]) == things.owners("acct_1", [("snapshots", "dbx_1")]) == {}


def test_many_are_looked_up_as_one_by_one(things: SqliteThings) -> None:
    odd = [*MANY[::2], ("devboxes", 'a"\\é'), ("snapshots", "1")]
    things.add("acct_1", odd, ("key_1",), 1)
    asked = [*MANY, *odd[-2:], ("snapshots", "01")]
    one_by_one = [things.owners("acct_1", [thing]) for thing in asked]
    assert things.owners("acct_1", asked) == {thing: owners for found in one_by_one for thing, owners in found.items()}


def test_all_processes_of_a_host_share_a_file_and_it_stays(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'keyscope.db'}"
    one, other = things_for(url), things_for(url)
    assert one is not None
    assert other is not None
    one.add("acct_1", [BOX], ("key_1",), 1)
    assert other.owners("acct_1", [BOX]) == {BOX: {"key_1"}}
    one.close()
    other.close()
    again = things_for(url)
    assert again is not None
    assert again.owners("acct_1", [BOX]) == {BOX: {"key_1"}}
    again.close()


def test_nodes_of_several_hosts_have_none() -> None:
    assert things_for("postgresql://keyscope@localhost/keyscope") is None


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keyscope.db.things").write_bytes(b"no database at all, and longer than a header of one" * 10)
    with pytest.raises(ConfigurationError):
        open_things(tmp_path / "keyscope.db.things")


def test_trouble_is_said_and_nothing_is_half_written(tmp_path: Path) -> None:
    ledger = open_things(tmp_path / "keyscope.db.things")
    ledger.close()
    with pytest.raises(StoreUnavailable):
        ledger.owners("acct_1", [BOX])
    with pytest.raises(StoreUnavailable):
        ledger.add("acct_1", [BOX], ("key_1",), 1)
