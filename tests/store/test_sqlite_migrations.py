"""Numbered steps, one transaction each. What was written before a step is read after it."""

from __future__ import annotations

import gzip
import shutil
import sqlite3
import threading
from pathlib import Path
from zlib import crc32

import msgspec
import pytest
from msgspec.structs import replace as with_
from tests.store.outside import end, python
from tests.store.samples import ACCOUNT, NOW, a_key, an_event, get, last_used, note, put, replace

from keyscope.store import migrate
from keyscope.store.connect import writing
from keyscope.store.rows import key_of, record_of
from keyscope.store.sqlite import SqliteStore

SECOND = """
-- A made-up second step; with a semicolon in a comment; and in a trigger.
ALTER TABLE accounts ADD COLUMN plan TEXT NOT NULL DEFAULT 'free';
CREATE TRIGGER plans BEFORE UPDATE OF plan ON accounts
BEGIN
    SELECT RAISE(ABORT, 'no; never');
END;
"""


def columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def filled(path: Path) -> Path:
    store = SqliteStore.open(path)
    put(store, a_key("key_1"), a_key("key_2", "key_1"))
    note(store, an_event())
    store.close()
    return path


def test_the_steps_are_numbered_without_a_gap() -> None:
    folder = Path(migrate.__file__).parent / "migrations"
    numbers = sorted(int(file.name.partition("_")[0]) for file in folder.glob("*.sql"))
    assert numbers == list(range(1, len(migrate.steps()) + 1))


def test_every_step_keeps_what_was_written_before_it(tmp_path: Path) -> None:
    path = filled(tmp_path / "keyscope.db")
    link = writing(path, 1)
    steps = (*migrate.steps(), SECOND)
    migrate.migrate(link.connection, steps)
    assert migrate.version(link.connection) == len(steps)
    assert "plan" in columns(link.connection, "accounts")
    # The released program refuses the newer file, so the number is put back to read it with the same code.
    link.connection.execute(f"PRAGMA user_version = {len(steps) - 1}")
    link.connection.execute("DROP TRIGGER plans")
    link.connection.execute("ALTER TABLE accounts DROP COLUMN plan")
    link.close()
    store = SqliteStore.open(path)
    assert get(store, "key_2") == a_key("key_2", "key_1")
    assert len(store.read(lambda reader: reader.events("acct_1"))) == 1
    store.close()


def test_a_step_that_fails_leaves_the_database_at_the_step_before(tmp_path: Path) -> None:
    path = filled(tmp_path / "keyscope.db")
    link = writing(path, 1)
    with pytest.raises(sqlite3.Error):
        migrate.migrate(link.connection, (*migrate.steps(), SECOND + "SELECT * FROM nowhere;"))
    assert migrate.version(link.connection) == len(migrate.steps())
    assert "plan" not in columns(link.connection, "accounts")
    link.close()
    store = SqliteStore.open(path)
    assert get(store, "key_1") == a_key("key_1")
    store.close()


def test_a_step_is_applied_once(tmp_path: Path) -> None:
    path = filled(tmp_path / "keyscope.db")
    shutil.copy(path, tmp_path / "before")
    SqliteStore.open(path).close()
    assert path.read_bytes() == (tmp_path / "before").read_bytes()


def test_a_script_that_ends_in_the_middle_of_a_statement_is_refused(tmp_path: Path) -> None:
    link = writing(filled(tmp_path / "keyscope.db"), 1)
    with pytest.raises(ValueError, match="middle of a statement"):
        migrate.migrate(link.connection, (*migrate.steps(), "CREATE TABLE t (x)"))
    link.close()


_OPEN = """
import sys
from pathlib import Path
from keyscope.store.sqlite import SqliteStore
from tests.store.samples import a_key, put
print("ready", flush=True)
sys.stdin.readline()
store = SqliteStore.open(Path(sys.argv[1]))
if sys.argv[2] == "0":
    put(store, a_key("key_1"))
store.check()
store.close()
print("well")
"""


def test_processes_that_start_together_make_one_database(tmp_path: Path) -> None:
    path = tmp_path / "keyscope.db"
    processes = [python(_OPEN, path, number) for number in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [end(process) for process in processes] == ["well"] * 4
    store = SqliteStore.open(path)
    assert get(store, "key_1") == a_key("key_1")
    store.close()


def test_opening_waits_for_a_process_that_is_making_the_database(tmp_path: Path) -> None:
    path = tmp_path / "keyscope.db"
    path.touch()
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ending = threading.Timer(0.2, other.execute, ["ROLLBACK"])
    ending.start()
    SqliteStore.open(path).close()
    ending.join()
    other.close()


def test_a_database_of_the_first_schema_is_read_and_changed(tmp_path: Path) -> None:
    """``schema-1.db.gz`` was written by the version before keys could be rotated."""
    path = tmp_path / "keyscope.db"
    path.write_bytes(gzip.decompress((Path(__file__).parents[1] / "data" / "schema-1.db.gz").read_bytes()))
    store = SqliteStore.open(path)
    second = a_key("key_2", "key_1", scopes="devboxes:read objects:write", expires_at_ms=NOW)
    assert get(store, "key_1") == a_key("key_1")
    assert get(store, "key_2") == second
    assert get(store, "key_3") == a_key("key_3", "key_2", revoked_at_ms=9)
    assert last_used(store, "key_2") == 7
    assert store.read(lambda reader: reader.rules(ACCOUNT.id)) == b"{}"
    changed = with_(second, resumed_at_ms=3, share=b"s" * 32)
    replace(store, changed)
    assert get(store, "key_2") == changed
    store.close()


@pytest.mark.parametrize("fields", [13, 16, 20])
def test_a_record_of_an_older_schema_reads_as_it_was_meant(fields: int) -> None:
    key = a_key("key_2", "key_1", scopes="devboxes:read objects:none", expires_at_ms=NOW)
    whole = msgspec.msgpack.decode(record_of(key)[:-4])
    packed = msgspec.msgpack.encode(whole[:fields])
    assert key_of(packed + crc32(packed).to_bytes(4)) == key
