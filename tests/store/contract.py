"""What every store guarantees (authority/ports.py), as tests. A store's own file brings the ``store`` fixture."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NoReturn

import pytest
from msgspec.structs import replace as with_
from tests.store.contract_holds import HeldContract
from tests.store.contract_life import LifeContract
from tests.store.contract_lists import ListContract
from tests.store.contract_runs import RunContract
from tests.store.contract_sessions import SessionContract
from tests.store.samples import (
    ACCOUNT,
    NOW,
    OTHER,
    a_key,
    a_query,
    a_reply,
    an_event,
    digest,
    found,
    get,
    last_used,
    note,
    put,
    replace,
    reply_to,
    state,
    use,
)

from keyscope.authority.ports import Account, Store, Writer
from keyscope.errors import StoreUnavailable
from keyscope.model.event import EventKind
from keyscope.model.key import State
from keyscope.model.restrictions import Restrictions
from keyscope.model.run import Run
from keyscope.model.scope import Grant, Scope
from keyscope.model.token import Kind


class Halt(Exception):
    """Ends a transaction from inside."""


class KeepingContract:
    """What was written is what is read."""

    def test_accounts_come_oldest_first(self, store: Store) -> None:
        young = Account("acct_0", "Young", 9)
        note(store, young, OTHER, ACCOUNT)
        assert store.read(lambda reader: reader.accounts()) == [ACCOUNT, OTHER, young]

    def test_a_key_comes_back_as_it_was_with_every_field(self, store: Store) -> None:
        parent = a_key("key_1", name="Wurzel ☃")
        key = with_(
            a_key("key_2", "key_1", scopes="objects:none devboxes:write account:read", created_at_ms=7),
            expires_at_ms=8,
            suspended_at_ms=9,
            revoked_at_ms=10,
            revoked_reason="leaked",
            observe_until_ms=11,
            observe_within=(Scope.parse("devboxes:read"),),
            narrowed_at_ms=12,
            narrowed_from=(Scope.parse("objects:none"), Scope.parse("account:write")),
            restrictions=Restrictions.parse({"own": True, "instances": {"devboxes": ["ci-*"]}, "uses": 3}),
            run=Run(devbox_id="dbx_1", lease_ms=13, lease_until_ms=14),
        )
        put(store, parent, key)
        assert get(store, "key_1") == parent
        assert get(store, "key_2") == key
        assert get(store, "key_3") is None

    def test_scopes_keep_their_order(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1", scopes="objects:none devboxes:write account:read"))
        key = get(store, "key_2")
        assert key is not None
        assert [str(scope) for scope in key.scopes] == ["objects:none", "devboxes:write", "account:read"]

    def test_a_lineage_has_every_ancestor_nearest_first(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"), a_key("key_3", "key_2"))
        line = store.read(lambda reader: reader.lineage("key_3"))
        assert line is not None
        assert line.ids == ("key_3", "key_2", "key_1")
        assert store.read(lambda reader: reader.lineage("key_9")) is None

    def test_descendants_are_all_that_a_key_led_to_and_not_the_key(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"), a_key("key_4", "key_2"), a_key("key_3", "key_1"))
        put(store, a_key("key_7"), a_key("key_8", "key_7"))
        assert [key.id for key in store.read(lambda reader: reader.descendants("key_1"))] == ["key_2", "key_3", "key_4"]
        assert store.read(lambda reader: reader.descendants("key_4")) == []

    def test_events_are_numbered_in_one_sequence_and_read_per_account(self, store: Store) -> None:
        events = [an_event(EventKind.ACCOUNT_CREATED), an_event(account=OTHER), an_event(name=["a", "b"], on=True)]
        note(store, *events)
        kept = store.read(lambda reader: reader.events(ACCOUNT.id))
        assert [(stored.number, stored.event) for stored in kept] == [(1, events[0]), (3, events[2])]
        assert [e.number for e in store.read(lambda reader: reader.events(ACCOUNT.id, after=1))] == [3]
        assert [e.number for e in store.read(lambda reader: reader.events(ACCOUNT.id, limit=1))] == [1]

    def test_those_who_follow_read_the_one_sequence_of_all_accounts(self, store: Store) -> None:
        assert store.read(lambda reader: reader.last_number()) == 0
        events = [an_event(), an_event(account=OTHER), an_event(name="c")]
        note(store, *events)
        kept = store.read(lambda reader: reader.changes())
        assert [(stored.number, stored.event) for stored in kept] == list(enumerate(events, 1))
        assert [e.number for e in store.read(lambda reader: reader.changes(after=1))] == [2, 3]
        assert [e.number for e in store.read(lambda reader: reader.changes(after=1, limit=1))] == [2]
        assert store.read(lambda reader: reader.last_number()) == 3

    def test_a_kept_event_does_not_change_with_the_dict_it_was_made_of(self, store: Store) -> None:
        changes: dict[str, object] = {"name": "before"}
        note(store, with_(an_event(), changes=changes))
        changes["name"] = "after"
        assert store.read(lambda reader: reader.events(ACCOUNT.id))[0].event.changes == {"name": "before"}

    def test_a_reply_is_found_by_caller_and_request(self, store: Store) -> None:
        note(store, a_reply())
        assert reply_to(store, "r1") == a_reply()
        assert reply_to(store, "r2") is None
        assert store.read(lambda reader: reader.reply("key_2", "r1")) is None

    def test_replies_are_dropped_when_they_were_made_before_a_time(self, store: Store) -> None:
        note(store, *(a_reply(request_id=f"r{at}", created_at_ms=at) for at in (4, 5)))
        store.write(lambda writer: writer.drop_replies(5))
        assert reply_to(store, "r4") is None
        assert reply_to(store, "r5") is not None

    def test_an_earlier_use_never_replaces_a_later_one(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"))
        use(store, {"key_1": 50, "key_2": 7})
        use(store, {"key_1": 40, "key_unknown": 3})
        assert [last_used(store, key_id) for key_id in ("key_1", "key_2", "key_unknown")] == [50, 7, None]


class RefusingContract:
    """What contradicts the content is refused, and changes nothing."""

    def test_an_id_or_a_digest_is_taken_once(self, store: Store) -> None:
        put(store, a_key("key_1"))
        for twin in (with_(a_key("key_1"), digest=digest("new")), with_(a_key("key_2"), digest=digest("key_1"))):
            with pytest.raises(ValueError, match="there already"):
                put(store, twin)
        assert get(store, "key_2") is None

    def test_a_key_needs_its_parent_and_its_account(self, store: Store) -> None:
        put(store, a_key("key_1"))
        with pytest.raises(ValueError, match="parent"):
            put(store, a_key("key_3", "key_2"))
        with pytest.raises(ValueError, match="account"):
            put(store, a_key("key_3", account=Account("acct_9", "", 1)))

    def test_a_line_of_more_than_64_ancestors_is_refused(self, store: Store) -> None:
        put(store, a_key("key_00"), *(a_key(f"key_{n:02}", f"key_{n - 1:02}") for n in range(1, 65)))
        assert len(found(store, "key_64").line) == 65  # type: ignore[union-attr]
        with pytest.raises(ValueError, match="64"):
            put(store, a_key("key_65", "key_64"))

    def test_accounts_and_replies_are_added_once(self, store: Store) -> None:
        note(store, ACCOUNT, a_reply())
        with pytest.raises(ValueError, match="already"):
            note(store, ACCOUNT)
        with pytest.raises(ValueError, match="already"):
            note(store, a_reply(created_at_ms=1))

    def test_only_a_key_that_is_there_is_replaced_and_its_account_stays(self, store: Store) -> None:
        put(store, a_key("key_1"))
        with pytest.raises(KeyError):
            replace(store, a_key("key_2"))
        with pytest.raises(KeyError):
            replace(store, a_key("key_1", account=OTHER))
        assert store.read(lambda reader: reader.events(ACCOUNT.id)) == []

    def test_a_replacement_cannot_take_the_digest_of_another_key(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2"))
        with pytest.raises(ValueError, match="digest"):
            replace(store, with_(a_key("key_2"), digest=digest("key_1")))

    def test_a_refusal_inside_a_transaction_leaves_the_rest_of_it_whole(self, store: Store) -> None:
        def work(writer: Writer) -> None:
            writer.add_account(ACCOUNT)
            with pytest.raises(ValueError, match="account"):
                writer.add_account(ACCOUNT)
            writer.add_key(a_key("key_1"))

        store.write(work)
        assert get(store, "key_1") is not None


class TransactionContract:
    """All of a write or nothing of it; readers see no half."""

    def test_a_write_returns_what_the_work_returns(self, store: Store) -> None:
        assert store.write(lambda writer: 7) == 7
        assert store.read(lambda reader: 8) == 8

    def test_a_writer_sees_its_own_changes(self, store: Store) -> None:
        def work(writer: Writer) -> None:
            writer.add_account(ACCOUNT)
            writer.add_key(a_key("key_1"))
            assert writer.key("key_1") == a_key("key_1")
            assert writer.keys(a_query(Kind.STANDARD)).total == 1

        store.write(work)

    def test_an_exception_rolls_every_kind_of_change_back(self, store: Store) -> None:
        put(store, a_key("key_1"))
        note(store, a_reply())
        use(store, {"key_1": 5})

        def work(writer: Writer) -> NoReturn:
            writer.add_account(Account("acct_3", "Three", 3))
            writer.add_key(a_key("key_2", "key_1"))
            writer.replace_key(with_(a_key("key_1"), digest=digest("rotated"), revoked_at_ms=3))
            writer.add_event(an_event())
            writer.add_reply(a_reply(request_id="r2"))
            writer.drop_replies(NOW + 1)
            writer.record_use({"key_1": 99, "key_2": 99})
            raise Halt

        with pytest.raises(Halt):
            store.write(work)
        assert store.read(lambda reader: reader.accounts()) == [ACCOUNT, OTHER]
        assert store.read(lambda reader: reader.descendants("key_1")) == []
        assert store.read(lambda reader: reader.events(ACCOUNT.id)) == []
        assert reply_to(store, "r1") == a_reply()
        assert last_used(store, "key_1") == 5
        assert state(found(store, "key_1")) is State.ACTIVE
        assert found(store, "rotated") is None

    def test_a_number_that_was_rolled_back_is_given_again(self, store: Store) -> None:
        def work(writer: Writer) -> NoReturn:
            writer.add_event(an_event())
            raise Halt

        with pytest.raises(Halt):
            store.write(work)
        note(store, an_event())
        assert [stored.number for stored in store.read(lambda reader: reader.events(ACCOUNT.id))] == [1]

    def test_writes_from_many_threads_all_happen(self, store: Store) -> None:
        put(store, a_key("key_root"))
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: put(store, a_key(f"key_{n:03}", "key_root")), range(100)))
            totals = list(pool.map(lambda _: store.read(lambda r: r.keys(a_query(limit=1)).total), range(100)))
        assert totals == [100] * 100


class IndexContract:
    """``find`` sees every commit that was made before the call."""

    def test_a_key_is_found_by_its_digest_with_its_ancestors(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1", scopes="devboxes:write"), a_key("key_3", "key_2"))
        line = found(store, "key_3")
        assert line is not None
        assert line.ids == ("key_3", "key_2", "key_1")
        assert line.grant == Grant([Scope.parse("devboxes:read")])
        assert found(store, "key_4") is None

    def test_a_commit_is_seen_by_the_very_next_find(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"))
        index = store.open_index()
        for round_ in range(50):
            assert state(index.find(digest("key_2"))) is State.ACTIVE
            assert index.find(digest(f"key_new{round_}")) is None
            put(store, a_key(f"key_new{round_}", "key_1"))
            assert state(index.find(digest(f"key_new{round_}"))) is State.ACTIVE
            replace(store, a_key("key_2", "key_1", revoked_at_ms=5))
            assert state(index.find(digest("key_2"))) is State.REVOKED
            replace(store, a_key("key_2", "key_1"))
        index.close()

    def test_the_stamp_differs_after_every_commit_and_not_otherwise(self, store: Store) -> None:
        index = store.open_index()
        for number in range(5):
            before = index.stamp()
            assert index.stamp() == before
            put(store, a_key(f"key_{number}"))
            assert index.stamp() != before
        index.close()

    def test_a_change_to_an_ancestor_is_seen_too(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"), a_key("key_3", "key_2"))
        index = store.open_index()
        assert state(index.find(digest("key_3"))) is State.ACTIVE
        replace(store, a_key("key_1", suspended_at_ms=5))
        assert state(index.find(digest("key_3"))) is State.SUSPENDED
        index.close()

    def test_an_old_digest_finds_nothing_once_it_was_replaced(self, store: Store) -> None:
        put(store, a_key("key_1"))
        index = store.open_index()
        assert index.find(digest("key_1")) is not None
        replace(store, with_(a_key("key_1"), digest=digest("rotated")))
        assert index.find(digest("key_1")) is None
        assert index.find(digest("rotated")) is not None
        index.close()

    def test_a_key_is_found_by_its_id_as_freshly_as_by_its_digest(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"), a_key("key_3", "key_2"))
        index = store.open_index()
        line = index.lineage("key_3")
        assert line is not None
        assert line.ids == ("key_3", "key_2", "key_1")
        assert index.lineage("key_4") is None
        put(store, a_key("key_4", "key_3"))
        assert state(index.lineage("key_4")) is State.ACTIVE
        replace(store, a_key("key_1", revoked_at_ms=5))
        assert state(index.lineage("key_4")) is State.REVOKED
        replace(store, with_(a_key("key_4", "key_3"), digest=digest("rotated")))
        renewed = index.lineage("key_4")
        assert renewed is not None
        assert renewed.key.digest == digest("rotated")
        index.close()

    def test_a_line_that_runs_in_a_circle_is_never_accepted(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"))
        replace(store, with_(a_key("key_1"), parent_id="key_2"))
        with pytest.raises(StoreUnavailable, match="descends from itself"):
            found(store, "key_2")
        assert [key.id for key in store.read(lambda reader: reader.descendants("key_1"))] == ["key_2"]

    def test_a_store_that_is_well_says_so(self, store: Store) -> None:
        store.check()


class StoreContract(
    KeepingContract,
    RefusingContract,
    TransactionContract,
    IndexContract,
    ListContract,
    LifeContract,
    RunContract,
    HeldContract,
    SessionContract,
):
    """All of it."""
