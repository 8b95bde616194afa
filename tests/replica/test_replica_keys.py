"""What a gate reads that keeps a copy of a replica's keys: what was touched since, and how long that is good."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from keyscope.authority.copying import MOST_TOUCHED, Point, StoreKeys, Touched
from keyscope.authority.ports import Former
from keyscope.errors import StoreUnavailable
from keyscope.model.key import Key
from keyscope.store import rows
from keyscope.store.memory import MemoryStore
from keyscope.store.replica import file
from keyscope.store.replica.changes import Changes, StoredFormer
from keyscope.store.replica.file import ReplicaFile
from keyscope.store.replica.keys import ReplicaKeys
from keyscope.store.replica.lease import Lease, now_ns
from tests.replica.test_replica_file import CHILD, PARENT, stored, whole
from tests.store.samples import a_key, digest

LONGEST_MS = 500
MS = 1_000_000


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    lease = Lease.open(tmp_path / "replica.db")
    yield lease
    lease.close()


@pytest.fixture
def keys(replica: ReplicaFile, lease: Lease) -> Iterator[ReplicaKeys]:
    keys = ReplicaKeys(replica.path, lease, LONGEST_MS)
    yield keys
    keys.close()


def point(keys: ReplicaKeys) -> Point:
    return keys.read(lambda reader: reader.point())


def touched(keys: ReplicaKeys, after: Point) -> Touched:
    return keys.read(lambda reader: reader.touched(after))


def test_a_key_that_is_new_and_one_that_changed_are_told_apart(replica: ReplicaFile, keys: ReplicaKeys) -> None:
    replica.rebuild(whole(PARENT))
    before = point(keys)
    replica.apply(Changes((2, 3), (stored(CHILD), stored(replace(PARENT, suspended_at_ms=1)))))
    found = touched(keys, before)
    assert (found.made, found.changed, found.point) == ((CHILD.id,), (PARENT.id,), replace(before, number=3))
    replica.apply(Changes((4,), (stored(replace(CHILD, revoked_at_ms=1)),)))
    assert touched(keys, found.point) == Touched(replace(before, number=4), (), (CHILD.id,))
    assert touched(keys, before).made == (CHILD.id,)


def test_all_secrets_below_a_key_are_found(replica: ReplicaFile, keys: ReplicaKeys) -> None:
    replica.rebuild(whole(PARENT))
    former = Former(digest("old"), CHILD.id, None, 20)
    grandchild = a_key("key_3", "key_2")
    replica.apply(
        Changes(
            (2,),
            (stored(CHILD), stored(grandchild)),
            (StoredFormer(former.digest, former.key_id, rows.former_record(former)),),
        )
    )
    below = keys.read(lambda reader: reader.digests_below(PARENT.id, 10))
    assert sorted(below) == sorted([PARENT.digest, CHILD.digest, former.digest, grandchild.digest])


def test_a_number_of_another_build_is_never_compared(replica: ReplicaFile, keys: ReplicaKeys) -> None:
    replica.rebuild(whole(PARENT, number=50))
    before = point(keys)
    for epoch in ("one/1", "two/1"):  # the same record, older than it was; and another one
        replica.rebuild(whole(PARENT, epoch=epoch, number=45))
        replica.apply(Changes(tuple(range(46, 60)), (stored(CHILD),)))
        assert touched(keys, before).too_much
    assert not touched(keys, point(keys)).too_much


def test_what_nobody_remembers_and_what_has_not_happened_is_too_much(
    replica: ReplicaFile, keys: ReplicaKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "_KEPT", 2)
    replica.rebuild(whole(PARENT))
    before = point(keys)
    for number in range(2, 6):
        replica.apply(Changes((number,), (stored(PARENT),)))
    assert touched(keys, replace(before, number=3)).changed == (PARENT.id,)
    assert touched(keys, replace(before, number=2)).too_much
    assert touched(keys, replace(before, number=6)).too_much


def test_more_than_is_worth_listing_is_not_listed(replica: ReplicaFile, keys: ReplicaKeys) -> None:
    replica.rebuild(whole(PARENT))
    before = point(keys)
    many: list[Key] = [a_key(f"key_{number}", "key_1") for number in range(10, 10 + MOST_TOUCHED)]
    replica.apply(Changes((2,), tuple(map(stored, many))))
    assert touched(keys, before) == Touched(point(keys), too_much=True)


def test_a_leave_ends_before_the_lease_by_as_much_as_a_clock_that_is_set_back_can_add(
    keys: ReplicaKeys, lease: Lease
) -> None:
    assert keys.leave_ms() <= 0
    lease.grant(now_ns(), 10_000 * MS, 1)
    assert keys.leave_ms() == LONGEST_MS
    lease.end()
    lease.grant(now_ns(), 800 * MS, 1)
    assert 0 < keys.leave_ms() <= 300
    lease.end()
    assert keys.leave_ms() <= 0


def test_a_replica_that_was_replaced_is_not_read(replica: ReplicaFile, keys: ReplicaKeys) -> None:
    replica.rebuild(whole(PARENT))
    point(keys)
    replica.path.rename(replica.path.with_name("moved.db"))
    with pytest.raises(StoreUnavailable):
        point(keys)


def test_a_store_has_one_sequence_and_a_number_of_a_replica_is_none_of_it() -> None:
    keys = StoreKeys(MemoryStore(), LONGEST_MS)
    here = keys.read(lambda reader: reader.point())
    assert not keys.read(lambda reader: reader.touched(here)).too_much
    assert keys.read(lambda reader: reader.touched(Point("another", 0))).too_much
    assert keys.leave_ms() == LONGEST_MS
