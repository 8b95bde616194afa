"""What every store guarantees about keys that are bound to runs."""

from __future__ import annotations

from msgspec.structs import replace as with_
from tests.store.samples import ACCOUNT, NOW, OTHER, a_key, get, listed, put, replace

from keyscope.authority.ports import Store
from keyscope.model.key import Key, State
from keyscope.model.run import Run


def bound_to(devbox_id: str | None, key_id: str, parent_id: str = "key_1", *, until_ms: int | None = None) -> Key:
    lease_ms = 5 if until_ms is not None else None
    return with_(a_key(key_id, parent_id), run=Run(devbox_id=devbox_id, lease_ms=lease_ms, lease_until_ms=until_ms))


def ids(keys: list[Key]) -> list[str]:
    return [key.id for key in keys]


def bound(store: Store, devbox_id: str, account_id: str = ACCOUNT.id) -> list[str]:
    return ids(store.read(lambda reader: reader.bound(account_id, devbox_id)))


def lapsed(store: Store, now_ms: int, limit: int = 9) -> list[str]:
    return ids(store.read(lambda reader: reader.lapsed(now_ms, limit)))


class RunContract:
    """By devbox and by lease, as long as the key is not revoked."""

    def test_keys_are_found_by_their_devbox_oldest_first(self, store: Store) -> None:
        put(store, a_key("key_1"), bound_to("dbx_1", "key_3"), bound_to("dbx_1", "key_2"), bound_to("dbx_2", "key_4"))
        assert (bound(store, "dbx_1"), bound(store, "dbx_3")) == (["key_2", "key_3"], [])
        assert bound(store, "dbx_1", OTHER.id) == []

    def test_a_revoked_key_is_bound_no_longer_until_it_is_brought_back(self, store: Store) -> None:
        key = bound_to("dbx_1", "key_2", until_ms=NOW)
        put(store, a_key("key_1"), key)
        replace(store, with_(key, revoked_at_ms=NOW))
        assert (bound(store, "dbx_1"), lapsed(store, NOW)) == ([], [])
        replace(store, key)
        assert (bound(store, "dbx_1"), lapsed(store, NOW)) == (["key_2"], ["key_2"])

    def test_leases_that_have_ended_are_found_soonest_first(self, store: Store) -> None:
        made = [bound_to(None, f"key_{number}", until_ms=NOW - number) for number in (2, 3, 4)]
        put(store, a_key("key_1"), *made, bound_to(None, "key_5", until_ms=NOW + 1), bound_to("dbx_1", "key_6"))
        assert lapsed(store, NOW) == ["key_4", "key_3", "key_2"]
        assert lapsed(store, NOW, limit=1) == ["key_4"]

    def test_a_renewed_lease_has_not_ended(self, store: Store) -> None:
        key = bound_to(None, "key_2", until_ms=NOW)
        put(store, a_key("key_1"), key)
        replace(store, with_(key, run=Run(lease_ms=5, lease_until_ms=NOW + 5)))
        assert lapsed(store, NOW) == []
        found = get(store, "key_2")
        assert found is not None
        assert (found.state_at(NOW + 4), found.state_at(NOW + 5)) == (State.ACTIVE, State.EXPIRED)

    def test_a_key_whose_lease_has_ended_is_listed_as_expired_and_so_is_what_it_minted(self, store: Store) -> None:
        put(
            store,
            a_key("key_1"),
            bound_to(None, "key_2", until_ms=NOW),
            a_key("key_3", "key_2"),
            a_key("key_4", "key_1"),
        )
        assert listed(store, status=State.EXPIRED) == ["key_3", "key_2"]
        assert listed(store, status=State.ACTIVE) == ["key_4"]
        assert store.read(lambda reader: reader.living_children("key_1", NOW)) == 1

    def test_the_index_sees_what_is_bound_at_once(self, store: Store) -> None:
        index = store.open_index()
        assert not index.has_bound(ACCOUNT.id, "dbx_1")
        put(store, a_key("key_1"), key := bound_to("dbx_1", "key_2"))
        assert (index.has_bound(ACCOUNT.id, "dbx_1"), index.has_bound(OTHER.id, "dbx_1")) == (True, False)
        replace(store, with_(key, revoked_at_ms=NOW))
        assert not index.has_bound(ACCOUNT.id, "dbx_1")
        index.close()
