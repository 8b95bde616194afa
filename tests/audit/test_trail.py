"""The trail's own contract, in a file and in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyscope.authority.checkpoint import Signer
from keyscope.authority.trail import MINUTE_MS, Batch, Entry, EntryQuery, Trail, UseQuery, Verdict
from keyscope.errors import ConfigurationError, StoreUnavailable
from keyscope.store.trail import SqliteTrail
from keyscope.store.trail_open import memory_trail, open_trail
from tests.audit.made import MINUTE, SIGNER, denial, filled, findings, numbers, uses

DAY_MS = 24 * 60 * MINUTE_MS


@pytest.fixture(params=["file", "memory"])
def trail(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqliteTrail]:
    made = memory_trail() if request.param == "memory" else open_trail(tmp_path / "k.audit")
    made.begin(0, MINUTE)
    yield made
    made.close()


def _search(trail: Trail, **conditions: object) -> list[int]:
    asked = {"account_id": "acc_1", "limit": 100, **conditions}
    return [entry.number for entry in trail.entries(EntryQuery(**asked)).items]  # type: ignore[arg-type]


def test_entries_come_back_as_they_were_written(trail: SqliteTrail) -> None:
    written = denial(MINUTE, path="/v1/ü", missing=("devboxes:write",), reasons=("missing_scope",), times=3,
                     changes={"b": [1, {"a": None}]})  # fmt: skip
    trail.append(Batch([written]), MINUTE)
    found = trail.entry(2)
    assert found is not None
    assert (found.path, found.missing, found.times, found.changes) == (
        "/v1/ü",
        ("devboxes:write",),
        3,
        {"b": [1, {"a": None}]},
    )
    assert trail.entry(99) is None


def test_a_search_holds_every_condition(trail: SqliteTrail) -> None:
    other = Entry(at_ms=MINUTE + 1, kind="key.minted", account_id="acc_1", key_id="key_b", chain=("key_top",), event=1)
    foreign = denial(MINUTE, "key_a")
    nobody = Entry(at_ms=MINUTE, kind="call.denied", code="invalid_token", peer="10.0.0.1")
    from msgspec.structs import replace

    batch = [denial(MINUTE, "key_a"), other, replace(foreign, account_id="acc_2"), nobody]
    trail.append(Batch(batch), MINUTE)
    assert _search(trail) == [3, 2]
    assert _search(trail, account_id=None) == [5, 4, 3, 2, 1]
    assert _search(trail, key_id="key_top") == [3, 2]
    assert _search(trail, key_id="key_b") == [3]
    assert _search(trail, within=("key_a", "key_x")) == [2]
    assert _search(trail, verdict=Verdict.CHANGED) == [3]
    assert _search(trail, verdict=Verdict.DENIED, operation="createDevbox", code="insufficient_scope") == [2]
    assert _search(trail, since_ms=MINUTE + 1) == [3]
    assert _search(trail, until_ms=MINUTE + 1) == [2]
    assert _search(trail, before=3) == [2]
    assert _search(trail, after=0) == [2, 3]
    assert trail.entries(EntryQuery(account_id="acc_1", limit=1)).has_more


def test_counts_add_up_over_batches_and_steps(trail: SqliteTrail) -> None:
    trail.append(Batch((), [uses(2), uses(1, operation=None)]), MINUTE)
    trail.append(Batch((), [uses(3), uses(7, MINUTE + MINUTE_MS), uses(1, key_id="key_b")]), MINUTE)

    def counted(**conditions: object) -> list[tuple[str, str | None, int, int]]:
        query = UseQuery(account_id="acc_1", **conditions)  # type: ignore[arg-type]
        return [(c.key_id, c.operation, c.minute_ms - MINUTE, c.calls) for c in trail.uses(query)]

    assert counted() == [
        ("key_a", None, 0, 1),
        ("key_a", "listDevboxes", 0, 5),
        ("key_b", "listDevboxes", 0, 1),
        ("key_a", "listDevboxes", MINUTE_MS, 7),
    ]
    assert counted(step_ms=None, key_ids=("key_a",)) == [("key_a", None, 0, 1), ("key_a", "listDevboxes", 0, 12)]
    assert counted(until_ms=MINUTE) == []
    assert counted(since_ms=MINUTE + MINUTE_MS) == [("key_a", "listDevboxes", MINUTE_MS, 7)]
    assert counted(limit=1, skip=1) == [("key_a", "listDevboxes", 0, 5)]
    assert trail.uses(UseQuery(account_id="acc_2")) == []


def test_a_change_is_told_once_however_often_it_is_copied(trail: SqliteTrail) -> None:
    copied = [Entry(at_ms=MINUTE, kind="key.minted", account_id="acc_1", event=number) for number in (1, 2, 3)]
    trail.append(Batch(copied[:2]), MINUTE)
    trail.append(Batch(copied), MINUTE)
    assert numbers(trail) == [1, 2, 3, 4]
    assert trail.last_event() == 3


def test_a_batch_that_fails_leaves_nothing(trail: SqliteTrail) -> None:
    bad = uses(1 << 70)
    with pytest.raises((StoreUnavailable, OverflowError)):
        trail.append(Batch([denial(MINUTE)], [bad]), MINUTE)
    assert numbers(trail) == [1]
    trail.append(Batch([denial(MINUTE)]), MINUTE)
    assert numbers(trail) == [1, 2]


def test_several_writers_make_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "k.audit"
    trails = [open_trail(path) for _ in range(4)]
    trails[0].begin(0, MINUTE)

    def write(trail: SqliteTrail) -> None:
        for n in range(25):
            trail.append(Batch([denial(MINUTE + n)], [uses(1)]), MINUTE + n)

    threads = [threading.Thread(target=write, args=(trail,)) for trail in trails]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(trails[0]) == list(range(1, 102))
    assert [count.calls for count in trails[0].uses(UseQuery(account_id="acc_1"))] == [100]
    assert findings(path) == []
    for trail in trails:
        trail.close()


def test_retention_drops_up_to_a_signed_checkpoint_and_the_rest_verifies(tmp_path: Path) -> None:
    path = tmp_path / "k.audit"
    kept = filled(path)
    trail = open_trail(path)
    later = MINUTE + 3 * DAY_MS
    trail.append(Batch([denial(later)], [uses(9, later)]), later)
    assert trail.prune(later - 5 * DAY_MS, later) is False
    assert numbers(trail)[0] == 1
    trail.prune(later - DAY_MS, later)
    assert numbers(trail)[0] == kept.number + 1
    assert [count.calls for count in trail.uses(UseQuery(account_id="acc_1"))] == [9]
    assert _search(trail, key_id="key_1") == []
    assert findings(path, kept) == []
    trail.append(Batch([denial(later + MINUTE_MS * 3)]), later + MINUTE_MS * 3)
    trail.checkpoint(SIGNER, later + MINUTE_MS * 4)
    assert findings(path) == []
    trail.close()


def test_a_head_that_was_cut_off_is_not_taken_for_retention(tmp_path: Path) -> None:
    import sqlite3

    path = tmp_path / "k.audit"
    made = filled(path)
    connection = sqlite3.connect(path)
    connection.execute("DELETE FROM entries WHERE number <= ?", (made.number,))
    connection.commit()
    connection.close()
    assert [finding.code for finding in findings(path)] == ["removed"]


def test_a_checkpoint_is_made_when_it_is_due_or_at_the_end_of_something_new(trail: SqliteTrail) -> None:
    hour = 60 * MINUTE_MS
    assert trail.checkpoint(SIGNER, MINUTE, hour) is not None
    assert trail.checkpoint(SIGNER, MINUTE + 2 * hour, hour) is None  # nothing came since
    trail.append(Batch([denial(MINUTE)]), MINUTE)
    assert trail.checkpoint(SIGNER, MINUTE + 1, hour) is None  # not due
    assert trail.checkpoint(SIGNER, MINUTE + 1, 0) is not None  # an end
    assert trail.checkpoint(SIGNER, MINUTE + 1, 0) is None
    made = trail.checkpoint(SIGNER, MINUTE + 1)
    assert made is not None
    assert made.is_genuine(SIGNER.key)
    assert not made.is_genuine(Signer(bytes(32)).key)


def test_a_file_that_is_removed_or_replaced_is_not_written_on(tmp_path: Path) -> None:
    path = tmp_path / "k.audit"
    trail = open_trail(path)
    trail.begin(0, MINUTE)
    path.rename(tmp_path / "moved")
    with pytest.raises(StoreUnavailable):
        trail.append(Batch([denial(MINUTE)]), MINUTE)
    trail.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.write_bytes(b"no database at all, " * 500),
        lambda path: path.mkdir(),
        lambda path: __import__("sqlite3").connect(path).execute("CREATE TABLE theirs (x)").connection.commit(),
    ],
)
def test_a_file_that_is_no_trail_is_told_with_a_remedy(tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    path = tmp_path / "k.audit"
    spoil(path)
    with pytest.raises(ConfigurationError) as error:
        open_trail(path)
    assert str(path) in error.value.faults[0].message
