"""What every store guarantees about keys that are rotated, derived from, idle, or used when dead; and account rules."""

from __future__ import annotations

from functools import partial

import pytest
from msgspec.structs import replace as with_
from tests.store.samples import ACCOUNT, NOW, OTHER, a_key, digest, found, note, put, replace, use

from keyscope.authority.ports import DeadUses, Former, Selector, Store, StoredLeak, Writer
from keyscope.model.key import Key
from keyscope.model.token import Kind


def rotated(store: Store, old: Key, word: str, until_ms: int) -> Key:
    """Give a stored key another digest, and keep the old one."""
    new = with_(old, digest=digest(word), share=b"n" * 32, rotated_at_ms=NOW)
    store.write(lambda writer: writer.replace_key(new))
    store.write(lambda writer: writer.put_former(Former(old.digest, old.id, old.share, until_ms)))
    return new


def _report(leak: StoredLeak, writer: Writer) -> None:
    writer.put_leak(leak)


def _record(told: dict[str, DeadUses], writer: Writer) -> None:
    writer.record_dead_uses(told)


class LifeContract:
    """Beside KeepingContract."""

    def test_every_field_of_a_rotated_and_resumed_key_comes_back(self, store: Store) -> None:
        note(store, ACCOUNT)
        key = with_(a_key("key_1"), share=b"s" * 32, rotated_at_ms=3, resumed_at_ms=4)
        store.write(lambda writer: writer.add_key(key))
        assert store.read(lambda reader: reader.key("key_1")) == key

    def test_an_earlier_secret_leads_to_the_key_until_its_end(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"))
        old = a_key("key_2", "key_1")
        new = rotated(store, old, "second", 500)
        shown = found(store, old.id)
        assert shown is not None
        assert shown.key == with_(new, digest=old.digest, share=old.share, superseded_at_ms=500)
        assert (shown.expires_at_ms, shown.ids) == (500, ("key_2", "key_1"))
        current = found(store, "second")
        assert current is not None
        assert current.key == new
        assert store.read(lambda reader: reader.formers("key_2")) == [Former(old.digest, "key_2", old.share, 500)]

    def test_the_end_of_an_earlier_secret_can_be_changed(self, store: Store) -> None:
        put(store, a_key("key_1"))
        old = a_key("key_1")
        rotated(store, old, "second", 500)
        store.write(lambda writer: writer.put_former(Former(old.digest, "key_1", None, 400)))
        shown = found(store, old.id)
        assert shown is not None
        assert shown.expires_at_ms == 400

    def test_all_keys_are_read_with_their_ancestors_and_all_earlier_secrets(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1", revoked_at_ms=5), a_key("key_3", "key_2"))
        put(store, a_key("key_9", account=OTHER))
        rotated(store, a_key("key_3", "key_2"), "second", 500)
        lines = store.read(lambda reader: sorted(reader.lineages(), key=lambda line: line.key.id))
        kept = store.read(lambda reader: [reader.lineage(line.key.id) for line in lines])
        assert [(line.ids, line.key) for line in lines] == [(line.ids, line.key) for line in kept if line is not None]
        assert [(line.ids, line.stopped) for line in lines] == [
            (("key_1",), False),
            (("key_2", "key_1"), True),
            (("key_3", "key_2", "key_1"), True),
            (("key_9",), False),
        ]
        assert store.read(lambda reader: list(reader.former_digests())) == [digest("key_3")]

    def test_the_digests_below_a_key_are_those_of_all_secrets_of_its_tree(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"), a_key("key_3", "key_2"), a_key("key_4", "key_1"))
        rotated(store, a_key("key_3", "key_2"), "second", 500)
        below = store.read(lambda reader: reader.digests_below("key_2", 10))
        assert sorted(below) == sorted([digest("key_2"), digest("second"), digest("key_3")])
        assert len(store.read(lambda reader: reader.digests_below("key_1", 4))) == 4
        assert store.read(lambda reader: reader.digests_below("key_7", 4)) == []

    def test_an_earlier_digest_is_never_given_to_another_key(self, store: Store) -> None:
        put(store, a_key("key_1"))
        rotated(store, a_key("key_1"), "second", 500)
        with pytest.raises(ValueError, match="there already"):
            store.write(lambda writer: writer.add_key(with_(a_key("key_9"), digest=digest("key_1"))))
        put(store, a_key("key_3"))
        with pytest.raises(ValueError, match="another key's"):
            replace(store, with_(a_key("key_3"), digest=digest("key_1")))

    def test_an_earlier_secret_of_no_key_is_refused(self, store: Store) -> None:
        with pytest.raises(KeyError):
            store.write(lambda writer: writer.put_former(Former(digest("x"), "key_none", None, 1)))

    def test_a_derived_key_is_revoked_for_its_own_root_alone(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2"))
        for _ in range(2):
            store.write(lambda writer: writer.revoke_derived("key_1", "drv_a", NOW))

        def revoked(key_id: str, *links: str) -> bool:
            index = store.open_index()
            seen = (index.derived_revoked(key_id, links), store.read(lambda r: r.derived_revoked(key_id, links)))
            index.close()
            assert seen[0] == seen[1]
            return seen[0]

        assert revoked("key_1", "drv_b", "drv_a")
        assert not revoked("key_1", "drv_b")
        assert not revoked("key_2", "drv_a")
        assert not revoked("key_1")

    def test_dead_uses_add_up(self, store: Store) -> None:
        put(store, a_key("key_1"))
        assert store.read(lambda reader: reader.dead_uses("key_1")) is None
        for uses in (DeadUses(2, 50), DeadUses(3, 40)):
            told = {"key_1": uses, "key_none": uses}
            store.write(partial(_record, told))
        assert store.read(lambda reader: reader.dead_uses("key_1")) == DeadUses(5, 50)
        assert store.read(lambda reader: reader.dead_uses("key_none")) is None

    def test_a_leak_keeps_its_first_time_and_what_was_last_done(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2"))
        first = StoredLeak(digest("x"), "key_1", NOW, False)
        for leak in (first, StoredLeak(digest("x"), "key_1", NOW + 9, True), StoredLeak(digest("y"), "key_1", 5, True)):
            store.write(partial(_report, leak))
        assert store.read(lambda reader: reader.leak(digest("x"))) == with_(first, revoked=True)
        assert store.read(lambda reader: reader.leak(digest("z"))) is None
        assert store.read(lambda reader: reader.leaked_ms("key_1")) == NOW
        assert store.read(lambda reader: reader.leaked_ms("key_2")) is None
        with pytest.raises(KeyError):
            store.write(lambda writer: writer.put_leak(StoredLeak(digest("z"), "key_none", 1, True)))

    def test_living_children_are_counted(self, store: Store) -> None:
        put(
            store,
            a_key("key_1"),
            a_key("key_2", "key_1"),
            a_key("key_3", "key_1", revoked_at_ms=5),
            a_key("key_4", "key_1", expires_at_ms=NOW),
            a_key("key_5", "key_1", expires_at_ms=NOW + 1),
            a_key("key_6", "key_2"),
        )
        assert store.read(lambda reader: reader.living_children("key_1", NOW)) == 2

    def test_a_selector_finds_what_is_not_revoked(self, store: Store) -> None:
        put(
            store,
            a_key("key_1", name="ops"),
            a_key("key_2", "key_1", name="agent-1"),
            a_key("key_3", "key_1", name="agent-2", revoked_at_ms=5),
            a_key("key_4", "key_2", name="agent-3"),
            a_key("key_5", "key_1", name="Agent-4", kind=Kind.STANDARD),
        )

        def ids(selector: Selector, account: str = ACCOUNT.id) -> list[str]:
            return [key.id for key in store.read(lambda reader: reader.selected(account, selector))]

        assert ids(Selector(name_prefix="agent-")) == ["key_2", "key_4"]
        assert ids(Selector(created_by="key_1")) == ["key_2", "key_5"]
        assert ids(Selector(created_by="key_1", restricted_only=True)) == ["key_2"]
        assert ids(Selector(restricted_only=True)) == ["key_2", "key_4"]
        assert ids(Selector(restricted_only=True), OTHER.id) == []
        assert ids(Selector(name_prefix="%")) == []

    def test_idle_keys_are_those_not_minted_resumed_or_used_since(self, store: Store) -> None:
        resumed = with_(a_key("key_5", "key_1"), resumed_at_ms=100)
        stopped = a_key("key_4", "key_1", suspended_at_ms=5)
        put(store, a_key("key_1"), a_key("key_2", "key_1"), a_key("key_3", "key_1"), stopped, resumed)
        put(store, a_key("key_6", "key_1", created_at_ms=100), a_key("key_7", "key_1"))
        use(store, {"key_3": 100})
        idle = store.read(lambda reader: reader.idle(ACCOUNT.id, 100, 10))
        assert [key.id for key in idle] == ["key_2", "key_7"]
        assert len(store.read(lambda reader: reader.idle(ACCOUNT.id, 100, 1))) == 1

    def test_the_rules_of_an_account_are_kept(self, store: Store) -> None:
        note(store, ACCOUNT, OTHER)
        assert store.read(lambda reader: reader.rules(ACCOUNT.id)) == b"{}"
        store.write(lambda writer: writer.set_rules(ACCOUNT.id, b'{"a":1}'))
        assert store.read(lambda reader: reader.rules(ACCOUNT.id)) == b'{"a":1}'
        assert store.read(lambda reader: reader.rules(OTHER.id)) == b"{}"

    def test_a_write_that_fails_takes_all_of_this_back(self, store: Store) -> None:
        put(store, a_key("key_1"))

        def work(it: Writer) -> None:
            it.put_former(Former(digest("x"), "key_1", None, 1))
            it.revoke_derived("key_1", "drv_a", 1)
            it.record_dead_uses({"key_1": DeadUses(1, 1)})
            it.set_rules(ACCOUNT.id, b'{"a":1}')
            it.put_leak(StoredLeak(digest("x"), "key_1", 1, True))
            raise LookupError("halt")

        with pytest.raises(LookupError):
            store.write(work)
        assert found(store, "x") is None
        assert not store.read(lambda reader: reader.derived_revoked("key_1", ["drv_a"]))
        assert store.read(lambda reader: reader.dead_uses("key_1")) is None
        assert store.read(lambda reader: reader.rules(ACCOUNT.id)) == b"{}"
        assert store.read(lambda reader: reader.leak(digest("x"))) is None
