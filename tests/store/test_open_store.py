"""A store is named by a URL; everything that cannot be opened is refused with a sentence that says how to mend it."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.outside import as_nobody, held
from tests.store.samples import a_key, get, put

from keyscope.errors import ConfigurationError
from keyscope.store.memory import MemoryStore
from keyscope.store.migrate import steps
from keyscope.store.open import open_store
from keyscope.store.sqlite import SqliteStore


def refusal(url: str) -> str:
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    (fault,) = caught.value.faults
    assert fault == ("database", caught.value.detail)
    assert "Traceback" not in fault.message
    return fault.message


def test_the_three_forms_of_url_open_their_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert isinstance(open_store("memory://"), MemoryStore)
    for url, path in (("sqlite:///here.db", tmp_path / "here.db"), (f"sqlite:///{tmp_path}/a%20b.db", "a%20b.db")):
        store = open_store(url)
        assert isinstance(store, SqliteStore)
        assert store.path == tmp_path / path
        store.close()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "keyscope.db",
        "sqlite://keyscope.db",
        "sqlite:keyscope.db",
        "mysql://h/d",
        "memory",
        "memory:///x",
        "SQLITE:///x",
        "postgresql+psycopg://x",
        "postgresql:x",
    ],
)
def test_another_form_is_refused_and_the_sentence_shows_the_forms(url: str) -> None:
    sentence = refusal(url)
    assert "sqlite:///keyscope.db" in sentence
    assert "memory://" in sentence


@pytest.mark.parametrize(
    "url", ["sqlite:///", "sqlite:///some/", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "sqlite:///a#b"]
)
def test_a_sqlite_url_takes_a_plain_path_of_a_file(url: str) -> None:
    assert "sqlite:///keyscope.db" in refusal(url)


def test_a_url_that_may_hold_a_password_is_not_repeated() -> None:
    assert "hunter2" not in refusal("postgresql+psycopg://me:hunter2@localhost/keyscope")
    assert "hunter2" not in refusal("mysql://me:hunter2@localhost/keyscope")


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    assert f"The directory {tmp_path}/none does not exist" in refusal(f"sqlite:///{tmp_path}/none/keyscope.db")
    assert not (tmp_path / "none").exists()


def test_a_directory_in_place_of_a_file_is_refused(tmp_path: Path) -> None:
    assert "is not a file" in refusal(f"sqlite:///{tmp_path}")


def test_a_file_that_is_no_database_is_refused_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"my notes\n" * 1000)
    assert "is not a SQLite database" in refusal(f"sqlite:///{path}")
    assert path.read_bytes() == b"my notes\n" * 1000


@pytest.mark.parametrize("statement", ["CREATE TABLE t (x)", "PRAGMA application_id = 7", "PRAGMA user_version = 1"])
def test_the_database_of_another_program_is_refused_and_stays_as_it_is(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute(statement)
    other.close()
    before = path.read_bytes()
    assert "not Keyscope's" in refusal(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/keyscope.db"
    open_store(url).close()
    newer = sqlite3.connect(tmp_path / "keyscope.db", isolation_level=None)
    newer.execute("PRAGMA user_version = 99")
    newer.close()
    sentence = refusal(url)
    assert "schema version 99" in sentence
    assert f"up to {len(steps())}" in sentence
    assert "Upgrade Keyscope" in sentence


@pytest.mark.parametrize("lock", [("BEGIN IMMEDIATE",), ("PRAGMA locking_mode = EXCLUSIVE", "BEGIN EXCLUSIVE")])
def test_a_database_that_another_process_has_locked_is_refused(tmp_path: Path, lock: tuple[str, ...]) -> None:
    path = tmp_path / "keyscope.db"
    SqliteStore.open(path).close()
    with held(path, *lock), pytest.raises(ConfigurationError, match="locked by another program"):
        SqliteStore.open(path, busy_timeout_s=0.05)
    SqliteStore.open(path, busy_timeout_s=0.05).close()


@pytest.fixture
def shared() -> Iterator[Path]:
    """A directory that other users may enter, and a database in it."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o777)
        open_store(f"sqlite:///{directory}/keyscope.db").close()
        for file in directory.iterdir():
            file.chmod(0o666)
        yield directory
        directory.chmod(0o777)


def _sentence_for_nobody(path: Path) -> str:
    def work() -> str:
        open_store(f"sqlite:///{path}")
        return "opened"

    return as_nobody(work)


def test_a_read_only_file_is_refused(shared: Path) -> None:
    (shared / "keyscope.db").chmod(0o444)
    assert "keyscope.db is read-only" in _sentence_for_nobody(shared / "keyscope.db")


def test_an_unreadable_file_is_refused(shared: Path) -> None:
    (shared / "keyscope.db").chmod(0o000)
    assert "may not read the database" in _sentence_for_nobody(shared / "keyscope.db")


def test_a_read_only_directory_is_refused(shared: Path) -> None:
    shared.chmod(0o555)
    assert "may not write to the directory" in _sentence_for_nobody(shared / "keyscope.db")
    assert "may not write to the directory" in _sentence_for_nobody(shared / "new.db")


def test_an_unreadable_marker_is_refused(shared: Path) -> None:
    (shared / "keyscope.db.marker").chmod(0o000)
    assert "keyscope.db.marker cannot be read" in _sentence_for_nobody(shared / "keyscope.db")


def test_the_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = open_store(f"sqlite:///{tmp_path}/keyscope.db")
        put(store, a_key("key_1"))
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    names = ("keyscope.db", "keyscope.db-wal", "keyscope.db-shm", "keyscope.db.marker")
    assert modes == dict.fromkeys(names, 0o600)
    store.close()


def test_a_store_opened_through_a_link_is_the_same_store(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    store = open_store(f"sqlite:///{tmp_path}/real/keyscope.db")
    put(store, a_key("key_1"))
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "keyscope.db")
    linked = open_store(f"sqlite:///{tmp_path}/link.db")
    assert get(linked, "key_1") == a_key("key_1")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["link.db", "real"]
    linked.close()
    store.close()
