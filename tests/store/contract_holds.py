"""What every store guarantees about held calls."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace as with_
from tests.store.samples import ACCOUNT, NOW, OTHER, a_key, digest, put

from keyscope.authority.ports import HeldQuery, Store
from keyscope.model.held import Held, HeldState


def a_held(held_id: str, key_id: str = "key_2", **more: Any) -> Held:
    given: dict[str, Any] = {"state": HeldState.HELD, "due_at_ms": NOW + 10, "digest": digest("call"), **more}
    return Held(
        id=held_id,
        account_id=ACCOUNT.id,
        key_id=key_id,
        operation="shutdownDevbox",
        method="POST",
        target="/v1/devboxes/dbx_1/shutdown?x=1",
        created_at_ms=NOW,
        acts_at_ms=NOW + 10,
        is_delay=False,
        sealed=b"\x00sealed\xff",
        **given,
    )


def keep(store: Store, *held: Held) -> None:
    if store.read(lambda reader: reader.key("key_1")) is None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"), a_key("key_3", "key_1"))
    for one in held:
        store.write(lambda writer, one=one: writer.put_held(one))  # type: ignore[misc]


def listed(store: Store, account_id: str = ACCOUNT.id, *, limit: int = 9, **more: Any) -> list[str]:
    query = HeldQuery(account_id=account_id, limit=limit, **more)
    return [held.id for held in store.read(lambda reader: reader.held(query))]


def due(store: Store, now_ms: int, limit: int = 9) -> list[str]:
    return [held.id for held in store.read(lambda reader: reader.due_held(now_ms, limit))]


def same(store: Store, word: str, request_id: str | None, links: tuple[str, ...] = ()) -> str | None:
    found = store.read(lambda reader: reader.same_held("key_2", links, digest(word), request_id))
    return found.id if found is not None else None


class HeldContract:
    """Kept whole, found by all that they are looked for by."""

    def test_a_held_call_comes_back_as_it_was_and_as_it_was_put_last(self, store: Store) -> None:
        whole = a_held(
            "hold_1",
            request_id="r1",
            links=("l1", "l2"),
            scopes=("devboxes:write",),
            ends_at_ms=7,
            bounds=(("l2", '{"uses":3}'),),
            decided_by="key_1",
            decided_at_ms=8,
            reason="☃",
            ended_at_ms=9,
            status=200,
            answer=b"\xff",
            key_mark="00ff",
        )
        keep(store, whole)
        assert store.read(lambda reader: reader.held_by_id("hold_1")) == whole
        keep(store, done := with_(whole, state=HeldState.DONE))
        assert store.read(lambda reader: reader.held_by_id("hold_1")) == done
        assert store.read(lambda reader: reader.held_by_id("hold_2")) is None

    def test_a_held_call_belongs_to_a_key_that_there_is(self, store: Store) -> None:
        with pytest.raises(ValueError, match="key_9"):
            keep(store, a_held("hold_1", "key_9"))

    def test_a_list_is_of_one_account_newest_first_and_meets_every_condition(self, store: Store) -> None:
        keep(store, a_held("hold_1"), a_held("hold_2", "key_3"), a_held("hold_3", state=HeldState.DONE))
        assert listed(store) == ["hold_3", "hold_2", "hold_1"]
        assert listed(store, limit=2) == ["hold_3", "hold_2"]
        assert listed(store, starting_after="hold_2") == ["hold_1"]
        assert listed(store, state=HeldState.HELD) == ["hold_2", "hold_1"]
        assert listed(store, key_id="key_2") == ["hold_3", "hold_1"]
        assert listed(store, within=("key_3", "key_1")) == ["hold_2"]
        assert (listed(store, within=()), listed(store, OTHER.id)) == ([], [])

    def test_those_that_wait_are_counted(self, store: Store) -> None:
        keep(store, a_held("hold_1"), a_held("hold_2", "key_3"), a_held("hold_3", state=HeldState.APPROVED))
        counts = [lambda r: r.waiting("key_2"), lambda r: r.waiting_in(ACCOUNT.id), lambda r: r.waiting_in(OTHER.id)]
        assert [store.read(count) for count in counts] == [1, 2, 0]

    def test_those_that_are_due_come_soonest_first(self, store: Store) -> None:
        keep(store, a_held("hold_1", due_at_ms=NOW), a_held("hold_2", due_at_ms=NOW - 1), a_held("hold_3"))
        assert (due(store, NOW), due(store, NOW, limit=1), due(store, NOW - 2)) == (
            ["hold_2", "hold_1"],
            ["hold_2"],
            [],
        )

    def test_the_same_call_is_found_while_it_waits_or_by_its_request_id(self, store: Store) -> None:
        keep(store, a_held("hold_1", request_id="r1"))
        assert (same(store, "call", None), same(store, "other", "r1"), same(store, "call", None, ("l1",))) == (
            "hold_1",
            None,
            None,
        )
        keep(store, a_held("hold_1", request_id="r1", state=HeldState.DONE))
        assert (same(store, "call", None), same(store, "call", "r1"), same(store, "call", "r2")) == (
            None,
            "hold_1",
            None,
        )

    def test_one_can_be_forgotten_twice(self, store: Store) -> None:
        keep(store, a_held("hold_1"))
        for _ in range(2):
            store.write(lambda writer: writer.drop_held("hold_1"))
        assert listed(store) == []
