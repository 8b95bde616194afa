"""An existing store that vanished, or was replaced, is an error and never a fresh start."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.store.samples import a_key, an_event, get, note, put

from keyscope.errors import ConfigurationError, StoreUnavailable
from keyscope.store.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A closed database with a key and an event."""
    path = tmp_path / "keyscope.db"
    store = SqliteStore.open(path)
    put(store, a_key("key_1"))
    note(store, an_event())
    store.close()
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        SqliteStore.open(path)
    return str(caught.value)


def test_a_database_that_vanished_is_never_begun_anew(path: Path) -> None:
    path.unlink()
    assert "is gone" in refusal(path)
    assert "Restore the database" in refusal(path)
    assert not path.exists()


def test_a_database_that_was_emptied_is_refused(path: Path) -> None:
    path.write_bytes(b"")
    assert "is empty" in refusal(path)


def test_another_keyscope_database_in_its_place_is_refused(path: Path, tmp_path: Path) -> None:
    SqliteStore.open(tmp_path / "other.db").close()
    shutil.copy(tmp_path / "other.db", path)
    assert "is not the database" in refusal(path)


def test_an_older_copy_in_its_place_is_refused(path: Path, tmp_path: Path) -> None:
    shutil.copy(path, tmp_path / "backup")
    store = SqliteStore.open(path)
    note(store, an_event())
    store.close()
    shutil.copy(tmp_path / "backup", path)
    sentence = refusal(path)
    assert "has lost changes" in sentence
    assert "1 events and had 2" in sentence


def test_a_lost_wal_is_noticed(path: Path, tmp_path: Path) -> None:
    store = SqliteStore.open(path)
    note(store, an_event())
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for name in ("keyscope.db", "keyscope.db.marker"):
        shutil.copy(tmp_path / name, crashed / name)
    store.close()
    assert "has lost changes" in refusal(crashed / "keyscope.db")


def test_without_its_marker_a_database_is_taken_as_it_is_and_marked_again(path: Path, tmp_path: Path) -> None:
    marker = tmp_path / "keyscope.db.marker"
    before = marker.read_bytes()
    marker.unlink()
    store = SqliteStore.open(path)
    assert get(store, "key_1") is not None
    store.close()
    assert marker.read_bytes() == before


def test_with_database_and_marker_gone_a_new_one_begins(path: Path, tmp_path: Path) -> None:
    path.unlink()
    (tmp_path / "keyscope.db.marker").unlink()
    store = SqliteStore.open(path)
    assert get(store, "key_1") is None
    store.close()


@pytest.mark.parametrize("content", [b"", b"database x\n", b"\0" * 200])
def test_a_damaged_marker_is_refused(path: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "keyscope.db.marker").write_bytes(content)
    assert "is damaged" in refusal(path)


def test_a_database_that_vanishes_while_in_use_stops_writes_and_the_check(path: Path) -> None:
    store = SqliteStore.open(path)
    store.check()
    path.unlink()
    with pytest.raises(StoreUnavailable, match="no longer the file"):
        store.check()
    with pytest.raises(StoreUnavailable, match="no longer the file"):
        put(store, a_key("key_2"))
    store.close()


def test_a_database_that_is_replaced_while_in_use_stops_writes_reads_and_the_check(path: Path, tmp_path: Path) -> None:
    store = SqliteStore.open(path)
    shutil.copy(path, tmp_path / "copy")
    (tmp_path / "copy").rename(path)
    for use in (store.check, lambda: put(store, a_key("key_2")), lambda: get(store, "key_1"), store.open_index):
        with pytest.raises(StoreUnavailable, match="no longer the file"):
            use()
    store.close()


def test_a_wal_index_that_is_removed_while_in_use_is_noticed(path: Path, tmp_path: Path) -> None:
    store = SqliteStore.open(path)
    store.check()
    (tmp_path / "keyscope.db-shm").unlink()
    with pytest.raises(StoreUnavailable, match="-shm"):
        store.check()
    store.close()


def test_a_closed_store_is_unavailable(path: Path) -> None:
    store = SqliteStore.open(path)
    get(store, "key_1")
    store.close()
    for use in (store.check, lambda: put(store, a_key("key_2")), lambda: get(store, "key_1"), store.open_index):
        with pytest.raises(StoreUnavailable):
            use()
