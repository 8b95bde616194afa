"""A write that returned is durable; one that failed left nothing behind, and the next one works again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.store.outside import held, python
from tests.store.samples import a_key, a_reply, an_event, digest, found, get, note, put, replace, state

from keyscope.authority.ports import Writer
from keyscope.errors import StoreUnavailable
from keyscope.model.key import State
from keyscope.store.sqlite import SqliteStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyscope.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    store = SqliteStore.open(path, busy_timeout_s=0.05)
    put(store, a_key("key_1"))
    yield store
    store.close()


def pragma(store: SqliteStore, name: str) -> object:
    return store._writer.connection.execute(f"PRAGMA {name}").fetchone()[0]


def test_the_writer_syncs_the_disk_at_every_commit(store: SqliteStore) -> None:
    full = 2
    assert pragma(store, "synchronous") == full
    assert pragma(store, "journal_mode") == "wal"
    assert pragma(store, "foreign_keys") == 1
    assert pragma(store, "secure_delete") == 1


def test_readers_cannot_write(store: SqliteStore) -> None:
    with pytest.raises(StoreUnavailable, match="readonly"):
        store.read(lambda reader: reader._connection.execute("DELETE FROM replies"))  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET at_ms = 0",
        "UPDATE events SET number = 9 WHERE number = 1",
        "DELETE FROM events",
        "DELETE FROM events WHERE number = 1",
        "DELETE FROM keys",
        "DELETE FROM records",
    ],
)
def test_events_are_append_only_and_keys_are_never_deleted(store: SqliteStore, path: Path, statement: str) -> None:
    note(store, an_event())
    other = sqlite3.connect(path, isolation_level=None)
    with pytest.raises(sqlite3.IntegrityError, match=r"append-only|never deleted"):
        other.execute(statement)
    other.close()
    assert [stored.number for stored in store.read(lambda reader: reader.events("acct_1"))] == [1]


def test_while_another_process_writes_only_reading_goes_on(store: SqliteStore, path: Path) -> None:
    with held(path, "BEGIN IMMEDIATE"):
        with pytest.raises(StoreUnavailable, match="locked"):
            put(store, a_key("key_2"))
        assert get(store, "key_1") is not None
        assert found(store, "key_1") is not None
        store.check()
    put(store, a_key("key_2"))
    assert get(store, "key_2") is not None


def test_a_thread_that_writes_for_too_long_makes_the_others_unavailable(store: SqliteStore) -> None:
    with pytest.raises(StoreUnavailable, match="another thread"):
        store.write(lambda writer: put(store, a_key("key_2")))
    put(store, a_key("key_2"))


def test_a_full_database_refuses_writes_keeps_what_it_has_and_recovers(store: SqliteStore) -> None:
    _limit(store, more_pages=5)
    stored = _fill(store)
    assert get(store, f"key_full{stored}") is None
    assert state(found(store, f"key_full{stored - 1}")) is State.ACTIVE
    store._writer.connection.execute("PRAGMA max_page_count = 1000000")
    put(store, a_key(f"key_full{stored}"))
    store.check()
    assert pragma(store, "integrity_check") == "ok"


def test_a_revocation_on_a_full_disk_is_an_error_and_not_half_done(store: SqliteStore) -> None:
    put(store, a_key("key_2", "key_1"))
    _limit(store, more_pages=0)
    _fill(store)

    def revoke(writer: Writer) -> None:
        writer.replace_key(a_key("key_2", "key_1", revoked_at_ms=1))
        writer.add_event(an_event(reason="x" * 10_000))

    with pytest.raises(StoreUnavailable, match="full"):
        store.write(revoke)
    assert state(found(store, "key_2")) is State.ACTIVE
    assert store.read(lambda reader: reader.events("acct_1")) == []


def _limit(store: SqliteStore, more_pages: int) -> None:
    (pages,) = store._writer.connection.execute("PRAGMA page_count").fetchone()
    store._writer.connection.execute(f"PRAGMA max_page_count = {pages + more_pages}")


def _fill(store: SqliteStore) -> int:
    """Add keys until there is no more room; return how many."""
    for number in range(1000):
        try:
            put(store, a_key(f"key_full{number}", name="x" * 500))
        except StoreUnavailable:
            return number
    raise AssertionError("the disk never became full")


_SMALL_DISK = """
import resource, sys
from pathlib import Path
from keyscope.errors import StoreUnavailable
from keyscope.store.sqlite import SqliteStore
from tests.store.samples import a_key, found, get, put
store = SqliteStore.open(Path(sys.argv[1]))
put(store, a_key("key_1"))
size = Path(sys.argv[1] + "-wal").stat().st_size
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50_000, most))
stored, failed = 0, ""
while not failed and stored < 1000:
    try:
        put(store, a_key(f"key_full{stored}", name="x" * 500))
        stored += 1
    except StoreUnavailable as error:
        failed = error.detail
whole = all(found(store, f"key_full{n}") for n in range(stored)) and get(store, f"key_full{stored}") is None
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
put(store, a_key(f"key_full{stored}"))
store.check()
store.close()
print(stored > 0, "disk I/O error" in failed or "full" in failed, whole)
"""


def test_a_disk_that_takes_no_more_bytes_loses_nothing_and_recovers(path: Path) -> None:
    process = python(_SMALL_DISK, path)
    answer, _ = process.communicate(timeout=60)
    assert answer.strip() == "True True True"
    store = SqliteStore.open(path)
    assert get(store, "key_full0") is not None
    store.close()


def test_a_reply_that_was_dropped_is_not_left_in_the_file(store: SqliteStore, path: Path) -> None:
    note(store, a_reply())
    store.write(lambda writer: writer.drop_replies(1 << 62))
    store.close()
    assert b"\x00sealed\xff" not in path.read_bytes()


def test_no_secret_but_only_its_digest_is_kept(store: SqliteStore, path: Path) -> None:
    replace(store, a_key("key_1", name="renamed"))
    store.close()
    assert digest("key_1") in path.read_bytes()
