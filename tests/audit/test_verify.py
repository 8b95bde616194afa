"""Whoever writes to the file of a trail is found out."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace

from keyscope.authority.checkpoint import Checkpoint, Signer
from keyscope.authority.trail import MINUTE_MS, Batch
from keyscope.store.trail_open import open_trail
from tests.audit.made import MINUTE, SIGNER, denial, filled, findings, uses


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyscope.db.audit"


@pytest.fixture
def kept(path: Path) -> Checkpoint:
    return filled(path)


class Intruder:
    """Somebody with SQLite and the right to write to the file. The triggers do not hold them up."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(path, isolation_level=None)
        self("DROP TRIGGER entries_stay_as_they_are")

    def __call__(self, statement: str, *parameters: object) -> None:
        self._connection.execute(statement, parameters)

    def chain_anew(self) -> None:
        """Compute all hashes again, as the code would."""
        last = bytes(32)
        for number, record in self._connection.execute("SELECT number, record FROM entries ORDER BY 1").fetchall():
            last = sha256(last + record.encode()).digest()
            self("UPDATE entries SET hash = ? WHERE number = ?", last, number)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def intruder(path: Path, kept: Checkpoint) -> Iterator[Intruder]:
    with closing(Intruder(path)) as made:
        yield made


def found(path: Path, *kept: Checkpoint) -> list[tuple[str, int | None]]:
    return [(finding.code, finding.number) for finding in findings(path, *kept)]


def test_a_trail_that_nobody_touched_is_whole(path: Path, kept: Checkpoint) -> None:
    assert findings(path, kept) == []


def test_every_single_changed_byte_of_a_record_is_found(path: Path, intruder: Intruder) -> None:
    with closing(sqlite3.connect(path)) as connection:
        (record,) = connection.execute("SELECT record FROM entries WHERE number = 4").fetchone()
    for at in range(len(record)):
        other = "x" if record[at] != "x" else "y"
        changed = record[:at] + other + record[at + 1 :]
        try:
            intruder("UPDATE entries SET record = ? WHERE number = 4", changed)
        except sqlite3.Error:
            continue  # no JSON, or without a time: not even SQLite takes it
        assert found(path)[0][1] == 4, changed
    intruder("UPDATE entries SET record = ? WHERE number = 4", record)
    assert found(path) == []


def test_a_changed_hash_is_found(path: Path, intruder: Intruder) -> None:
    intruder("UPDATE entries SET hash = zeroblob(32) WHERE number = 5")
    assert found(path) == [("changed", 5)]


def test_a_removed_row_is_found(path: Path, intruder: Intruder) -> None:
    intruder("DELETE FROM entries WHERE number = 6")
    assert found(path) == [("removed", 6)]


def test_a_removed_beginning_is_found(path: Path, intruder: Intruder) -> None:
    intruder("DELETE FROM entries WHERE number <= 3")
    assert found(path) == [("removed", 1)]


def test_rows_in_another_order_are_found(path: Path, intruder: Intruder) -> None:
    for old, new in ((4, 1000), (5, 4), (1000, 5)):
        intruder("UPDATE entries SET number = ? WHERE number = ?", new, old)
    assert found(path) == [("reordered", 4)]


def test_an_added_row_is_found(path: Path, intruder: Intruder, kept: Checkpoint) -> None:
    intruder("INSERT INTO entries (number, record, hash) SELECT number + 1, record, hash FROM entries"
             " ORDER BY number DESC LIMIT 1")  # fmt: skip
    assert found(path, kept) == [("reordered", kept.number + 2)]


def test_a_history_written_anew_is_found_by_the_signed_checkpoint_in_it(path: Path, intruder: Intruder) -> None:
    intruder("UPDATE entries SET record = json_set(record, '$.path', '/nothing') WHERE number = 4")
    intruder.chain_anew()
    assert [code for code, _ in found(path)] == ["rewritten"]


def test_a_history_written_anew_without_its_checkpoints_is_found_by_a_kept_one(
    path: Path, intruder: Intruder, kept: Checkpoint
) -> None:
    intruder("DELETE FROM entries WHERE kind = 'trail.checkpoint'")
    intruder("UPDATE entries SET record = json_set(record, '$.path', '/nothing') WHERE number = 4")
    intruder.chain_anew()
    assert found(path) == []
    assert found(path, kept) == [("rewritten", kept.number)]


def test_a_cut_tail_is_found_by_a_kept_checkpoint(path: Path, intruder: Intruder, kept: Checkpoint) -> None:
    intruder("DELETE FROM entries WHERE number >= ?", kept.number - 2)
    assert found(path, kept)[0] == ("cut", kept.number - 3)


def test_a_checkpoint_signed_by_somebody_else_is_found(path: Path, kept: Checkpoint) -> None:
    other = Signer(bytes(32))
    forged = other.sign(kept.number, bytes.fromhex(kept.hash), kept.at_ms)
    assert found(path, forged) == [("signature", kept.number)]
    assert found(path, replace(forged, key=SIGNER.key)) == [("signature", kept.number)]
    assert found(path, replace(kept, at_ms=kept.at_ms + 1)) == [("signature", kept.number)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE uses SET calls = calls + 1 WHERE minute_ms = ?",
        "UPDATE uses SET operation = 'other' WHERE minute_ms = ?",
        "DELETE FROM uses WHERE minute_ms = ?",
        "INSERT INTO uses VALUES (?, 'key_z', 'listDevboxes', '', 'acc_1', 1)",
    ],
)
def test_a_changed_count_is_found(path: Path, intruder: Intruder, statement: str) -> None:
    intruder(statement, MINUTE)
    assert [finding.code for finding in findings(path)] == ["counts"]


def test_counts_of_a_minute_that_nobody_saw_are_found(path: Path, intruder: Intruder) -> None:
    intruder("INSERT INTO uses VALUES (?, 'key_z', 'listDevboxes', '', 'acc_1', 1)", MINUTE - MINUTE_MS)
    intruder("INSERT INTO unsealed VALUES (?)", MINUTE - MINUTE_MS)
    assert [finding.code for finding in findings(path)] == ["counts"]


def test_an_entry_hidden_from_the_search_is_found(path: Path, intruder: Intruder) -> None:
    intruder("DELETE FROM entry_keys WHERE number = 4")
    assert [finding.code for finding in findings(path)] == ["search"]


def test_the_minute_that_is_not_over_may_be_without_a_seal(path: Path) -> None:
    trail = open_trail(path)
    trail.begin(0, MINUTE)
    trail.append(Batch([denial(MINUTE + 5)], [uses(3)]), MINUTE + 10)
    assert findings(path) == []
    trail.append(Batch([denial(MINUTE + 2 * MINUTE_MS)]), MINUTE + 2 * MINUTE_MS)
    trail.append(Batch((), [uses(2)]), MINUTE + 3 * MINUTE_MS)  # late, and so sealed again
    assert findings(path) == []
    trail.close()
