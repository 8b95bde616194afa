"""The file of a replica: the same index as on one machine, true up to a number, made anew when it must be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from keyscope.authority.ports import Former
from keyscope.errors import ConfigurationError, NotHeard
from keyscope.model.key import Key
from keyscope.store import rows
from keyscope.store.replica.changes import Changes, RevokedLink, StoredFormer, StoredKey, StoredRun
from keyscope.store.replica.file import ReplicaFile, Snapshot, open_index
from keyscope.store.replica.lease import Lease, now_ns
from tests.store.samples import a_key, digest

PARENT, CHILD = a_key("key_1"), a_key("key_2", "key_1")


def stored(key: Key) -> StoredKey:
    return StoredKey(key.id, key.digest, rows.record_of(key), key.parent_id)


def whole(*keys: Key, epoch: str = "one/1", number: int = 1) -> Snapshot:
    records = sorted((key.digest, rows.record_of(key)) for key in keys)
    return Snapshot(epoch, number, records, sorted((key.id, key.digest, key.parent_id) for key in keys), (), (), ())


@pytest.fixture
def lease(tmp_path: Path) -> Iterator[Lease]:
    lease = Lease.open(tmp_path / "replica.db")
    lease.grant(now_ns(), 3_600_000_000_000, 0)
    yield lease
    lease.close()


def test_a_new_file_is_of_no_record_and_an_index_finds_nothing(replica: ReplicaFile, lease: Lease) -> None:
    assert (replica.epoch, replica.number) == ("", 0)
    index = open_index(replica.path, lease)
    assert index.find(PARENT.digest) is None
    index.close()


def test_an_index_sees_what_is_applied_at_once(replica: ReplicaFile, lease: Lease) -> None:
    index = open_index(replica.path, lease)
    replica.rebuild(whole(PARENT, CHILD))
    found = index.find(CHILD.digest)
    assert found is not None
    assert found.ids == ("key_2", "key_1")
    revoked = replace(PARENT, revoked_at_ms=5)
    replica.apply(Changes((2,), (stored(revoked),)))
    found = index.find(CHILD.digest)
    assert found is not None
    assert found.parent is not None
    assert found.parent.key == revoked
    index.close()


def test_an_index_answers_only_while_the_lease_lasts(replica: ReplicaFile, lease: Lease) -> None:
    replica.rebuild(whole(PARENT))
    index = open_index(replica.path, lease)
    assert index.find(PARENT.digest) is not None
    lease.end()
    for ask in (
        lambda: index.find(PARENT.digest),
        lambda: index.lineage("key_1"),
        lambda: index.derived_revoked("k", ["l"]),
    ):
        with pytest.raises(NotHeard):
            ask()
    index.close()


def test_a_rotated_key_is_found_by_both_secrets_as_each_shows_it(replica: ReplicaFile, lease: Lease) -> None:
    replica.rebuild(whole(PARENT, CHILD))
    rotated = replace(CHILD, digest=digest("new"), rotated_at_ms=9)
    former = Former(CHILD.digest, "key_2", None, 20)
    replica.apply(
        Changes((2,), (stored(rotated),), (StoredFormer(former.digest, former.key_id, rows.former_record(former)),))
    )
    index = open_index(replica.path, lease)
    by_old, by_new = index.find(CHILD.digest), index.find(digest("new"))
    assert by_new is not None
    assert by_new.key == rotated
    assert by_old is not None
    assert by_old.key.superseded_at_ms == 20
    index.close()


def test_a_derived_key_that_was_revoked_alone_is(replica: ReplicaFile, lease: Lease) -> None:
    replica.rebuild(whole(PARENT))
    index = open_index(replica.path, lease)
    assert not index.derived_revoked("key_1", ["drv_1"])
    replica.apply(Changes((2,), (), (), (RevokedLink("key_1", "drv_1"),)))
    assert index.derived_revoked("key_1", ["drv_1"])
    index.close()


def test_keys_bound_to_a_devbox_are_known_until_they_are_revoked(replica: ReplicaFile, lease: Lease) -> None:
    replica.rebuild(whole(PARENT))
    index = open_index(replica.path, lease)
    replica.apply(Changes((2,), (stored(CHILD),), (), (), (StoredRun("key_2", "acct_1", "devbox_1"),)))
    assert index.has_bound("acct_1", "devbox_1")
    assert not index.has_bound("acct_2", "devbox_1")
    replica.apply(Changes((3,), (stored(replace(CHILD, revoked_at_ms=9)),)))
    assert not index.has_bound("acct_1", "devbox_1")
    index.close()


def test_it_goes_on_from_its_number_after_a_restart(replica: ReplicaFile, tmp_path: Path) -> None:
    replica.rebuild(whole(PARENT, number=41))
    replica.apply(Changes((42,), (stored(CHILD),)))
    replica.close()
    again = ReplicaFile.open(tmp_path / "replica.db")
    assert (again.epoch, again.number) == ("one/1", 42)
    again.close()


def test_built_anew_it_holds_nothing_of_before(replica: ReplicaFile, lease: Lease) -> None:
    replica.rebuild(whole(PARENT, CHILD))
    replica.apply(Changes((2,), (), (), (RevokedLink("key_1", "drv_1"),)))
    replica.rebuild(whole(PARENT, epoch="two/1", number=1))
    index = open_index(replica.path, lease)
    assert index.find(CHILD.digest) is None
    assert not index.derived_revoked("key_1", ["drv_1"])
    assert (replica.epoch, replica.number) == ("two/1", 1)
    index.close()


def test_what_fails_half_way_leaves_it_as_it_was(replica: ReplicaFile, lease: Lease) -> None:
    replica.rebuild(whole(PARENT))

    def breaking() -> Iterator[tuple[bytes, bytes]]:
        yield CHILD.digest, rows.record_of(CHILD)
        raise ConnectionError

    with pytest.raises(ConnectionError):
        replica.rebuild(Snapshot("two/1", 9, breaking(), (), (), (), ()))
    index = open_index(replica.path, lease)
    assert index.find(PARENT.digest) is not None
    assert (replica.epoch, replica.number) == ("one/1", 1)
    index.close()


@pytest.mark.parametrize("numbers", [(3,), (2, 4), (1, 2)])
def test_changes_that_do_not_come_next_are_seen(numbers: tuple[int, ...]) -> None:
    assert not Changes(numbers).follow(1)
    assert Changes((2, 3)).follow(1)
    assert Changes().follow(1)


def test_another_programs_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "replica.db").write_text("no database")
    with pytest.raises(ConfigurationError):
        ReplicaFile.open(tmp_path / "replica.db")
