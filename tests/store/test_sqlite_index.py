"""The gate's look-up: fresh across processes, bounded, and safe to open and close beside a running store."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from zlib import crc32

import pytest
from tests.store.outside import end, hear, python, say
from tests.store.samples import a_key, digest, found, get, put, state

from keyscope.errors import StoreUnavailable
from keyscope.model.key import State
from keyscope.model.scope import Level
from keyscope.store import index as index_module
from keyscope.store import rows
from keyscope.store.sqlite import SqliteStore

ROUNDS = 500
QUIET_BETWEEN = 2 * index_module.QUIET_LOOK_UPS


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyscope.db"


@pytest.fixture(params=[True, False], ids=["mapped", "asking"])
def store(path: Path, request: pytest.FixtureRequest) -> Iterator[SqliteStore]:
    store = SqliteStore.open(path, map_wal_index=request.param)
    put(store, a_key("key_1"), a_key("key_2", "key_1"))
    yield store
    store.close()


_OTHER_PROCESS = """
import sys
from pathlib import Path
from keyscope.store.sqlite import SqliteStore
from tests.store.samples import a_key, replace
store = SqliteStore.open(Path(sys.argv[1]))
print("open", flush=True)
for line in sys.stdin:
    replace(store, a_key("key_1", revoked_at_ms=int(line) or None))
    print("committed", flush=True)
store.close()
"""


def test_a_commit_by_another_process_is_seen_by_the_very_next_find(store: SqliteStore, path: Path) -> None:
    index = store.open_index()
    other = python(_OTHER_PROCESS, path)
    assert hear(other) == "open"
    for round_ in range(ROUNDS):
        wanted = State.REVOKED if round_ % 2 else State.ACTIVE
        assert say(other, str(round_ % 2)) == "committed"
        assert state(index.find(digest("key_2"))) is wanted
        assert state(index.find(digest("key_2"))) is wanted
    assert end(other) == ""
    index.close()


def test_look_ups_that_share_a_read_transaction_see_the_next_commit_all_the_same(store: SqliteStore) -> None:
    index = store.open_index()
    for turn in range(3):
        for number in range(2 * index_module.QUIET_LOOK_UPS):
            assert index.find(digest(f"unknown_{number}")) is None
        put(store, a_key(key_id := f"key_{10 + turn}"))
        assert index.find(digest(key_id)) is not None
        index.release()
        assert index.find(digest(key_id)) is not None
    index.close()


def test_the_wal_stays_bounded_while_keys_are_looked_up(store: SqliteStore, path: Path) -> None:
    index = store.open_index()
    wal = path.with_name(path.name + "-wal")
    largest = 0
    for number in range(1500):
        put(store, a_key(f"key_{100 + number}"))
        for look_up in range(QUIET_BETWEEN):
            index.find(digest(f"unknown_{look_up}"))
        if number % 100 == 0:  # as the server does every second
            index.release()
            store.tidy()
        largest = max(largest, wal.stat().st_size)
    index.close()
    assert largest < 24 << 20


def test_what_was_found_is_kept_until_somebody_commits(store: SqliteStore) -> None:
    index = store.open_index()
    first = index.find(digest("key_2"))
    assert index.find(digest("key_2")) is first
    put(store, a_key("key_3"))
    assert index.find(digest("key_2")) is not first
    named = index.lineage("key_2")
    assert index.lineage("key_2") is named
    put(store, a_key("key_4"))
    assert index.lineage("key_2") is not named
    index.close()


def test_the_lineages_kept_are_bounded(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "MOST_KEPT", 10)
    put(store, *(a_key(f"key_many{n}", "key_1") for n in range(100)))
    index = store.open_index()
    for _ in range(3):
        assert all(index.find(digest(f"key_many{n}")) is not None for n in range(100))
        assert len(index._lineages) <= 10
        assert all(index.lineage(f"key_many{n}") is not None for n in range(100))
        assert len(index._by_id) <= 10
    index.close()


def test_a_commit_between_two_reads_never_mixes_two_states(store: SqliteStore) -> None:
    index = store.open_index()
    read_key = index._key

    def slow(key_id: str) -> object:
        # Between the child's row and the parent's, somebody gives to the child and takes from the parent.
        store.write(
            lambda writer: (
                writer.replace_key(a_key("key_3", "key_2", scopes="devboxes:write objects:write")),  # type: ignore[func-returns-value]
                writer.replace_key(a_key("key_2", "key_1", scopes="devboxes:none objects:none")),  # type: ignore[func-returns-value]
            )
        )
        index._key = read_key  # type: ignore[method-assign]
        return read_key(key_id)

    put(store, a_key("key_3", "key_2", scopes="devboxes:none objects:write"))
    index._key = slow  # type: ignore[method-assign, assignment]
    line = index.find(digest("key_3"))
    assert line is not None
    assert [str(scope) for scope in line.key.scopes] == ["devboxes:write", "objects:write"]
    assert line.grant is not None
    assert line.grant.scopes() == ()
    index.close()


_TRY_LOCKS = """
import fcntl, sys
file = open(sys.argv[1] + "-shm", "r+b")
try:
    # The byte on which every connection in WAL mode holds a shared lock (walformat.html, section 2.3.1).
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 128)
    print("free")
except BlockingIOError:
    print("held")
"""


def test_closing_indexes_and_a_second_store_keeps_the_locks_of_the_first(path: Path) -> None:
    store = SqliteStore.open(path)
    put(store, a_key("key_1"))
    found(store, "key_1")
    second = SqliteStore.open(path)
    found(second, "key_1")
    second.close()
    assert end(python(_TRY_LOCKS, path)) == "held"
    store.close()


def test_an_index_outlives_its_store_until_it_is_closed(store: SqliteStore, path: Path) -> None:
    index = store.open_index()
    store.close()
    assert state(index.find(digest("key_2"))) is State.ACTIVE
    assert end(python(_TRY_LOCKS, path)) == "held"
    index.close()
    with pytest.raises(StoreUnavailable):
        index.find(digest("key_2"))


def test_everything_is_closed_in_the_end(path: Path) -> None:
    before = _descriptors()
    for _ in range(3):
        store = SqliteStore.open(path)
        found(store, "key_1")
        get(store, "key_1")
        store.close()
    assert _descriptors() == before


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_an_unknown_level_in_a_row_counts_as_none(store: SqliteStore, path: Path) -> None:
    _forge(path, "key_2", b"devboxes:read", b"devboxes:Read")
    line = found(store, "key_2")
    assert line is not None
    assert line.grant is not None
    assert line.grant.level("devboxes") is Level.NONE


def test_words_that_are_no_scopes_give_nothing() -> None:
    assert [str(s) for s in rows.scopes_of("devboxes:admin Devboxes:write :write objects objects:read")] == [
        "devboxes:none",
        "objects:none",
        "objects:read",
    ]


def test_a_key_of_an_unknown_kind_is_refused(store: SqliteStore, path: Path) -> None:
    _forge(path, "key_2", b"\xa2rk", b"\xa2xk")
    for use in (lambda: found(store, "key_2"), lambda: get(store, "key_2")):
        with pytest.raises(StoreUnavailable, match="kind 'xk'"):
            use()
    assert found(store, "key_1") is not None


def test_a_record_with_a_wrong_checksum_is_refused(store: SqliteStore, path: Path) -> None:
    _forge(path, "key_2", b"devboxes:read", b"objectss:read", checksum=False)
    for use in (lambda: found(store, "key_2"), lambda: get(store, "key_2")):
        with pytest.raises(StoreUnavailable, match="damaged"):
            use()


def test_a_record_under_another_digest_is_refused(store: SqliteStore, path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("UPDATE records SET digest = ? WHERE digest = ?", (digest("another"), digest("key_2")))
    other.close()
    with pytest.raises(StoreUnavailable, match="another key"):
        found(store, "another")


def _forge(path: Path, key_id: str, old: bytes, new: bytes, *, checksum: bool = True) -> None:
    """Change a record as a newer program, or as a bad disk, would."""
    connection = sqlite3.connect(path)
    (record,) = connection.execute("SELECT record FROM records WHERE digest = ?", (digest(key_id),)).fetchone()
    assert record.count(old) == 1
    packed = record[:-4].replace(old, new)
    end_ = crc32(packed).to_bytes(4) if checksum else record[-4:]
    with connection:
        connection.execute("UPDATE records SET record = ? WHERE digest = ?", (packed + end_, digest(key_id)))
    connection.close()
