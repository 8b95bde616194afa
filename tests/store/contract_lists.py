"""What every store guarantees of its lists, as tests. Part of tests/store/contract.py."""

from __future__ import annotations

from tests.store.samples import NOW, OTHER, a_key, a_query, listed, put, use

from keyscope.authority.ports import KeyCount, Store
from keyscope.model.key import State
from keyscope.model.token import Kind


class ListContract:
    """Pages, newest first; all conditions must hold; ``total`` counts all pages."""

    def test_pages_follow_one_another_without_gap_or_repetition(self, store: Store) -> None:
        put(store, a_key("key_0"), *(a_key(f"key_{n}", "key_0") for n in range(1, 8)))
        ids: list[str] = []
        for more in (True, True, False):
            query = a_query(limit=3, starting_after=ids[-1] if ids else None)
            page = store.read(lambda reader, query=query: reader.keys(query))  # type: ignore[misc]
            assert (page.has_more, page.total) == (more, 7)
            ids += [line.key.id for line in page.items]
        assert ids == [f"key_{n}" for n in range(7, 0, -1)]

    def test_a_list_holds_one_kind_of_one_account(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2", "key_1"), a_key("key_3", account=OTHER))
        put(store, a_key("key_4", "key_3", account=OTHER))
        assert listed(store) == ["key_2"]
        assert listed(store, kind=Kind.STANDARD) == ["key_1"]
        assert store.read(lambda reader: reader.keys(a_query())).items[0].ids == ("key_2", "key_1")

    def test_a_name_is_sought_as_a_part_in_either_case(self, store: Store) -> None:
        put(store, a_key("key_0"))
        names = ("Nightly CI", "100% _cover", "ÄRGER", "nIGHT")
        put(store, *(a_key(f"key_{n}", "key_0", name=name) for n, name in enumerate(names, start=1)))
        wanted = {"night": [4, 1], "CI": [1], "%": [2], "_": [2], "Ä": [3], "ärger": [], "rger": [3], "": [4, 3, 2, 1]}
        for name, numbers in wanted.items():
            assert listed(store, name=name) == [f"key_{n}" for n in numbers]

    def test_a_resource_counts_with_read_or_write(self, store: Store) -> None:
        scopes = ("devboxes:read objects:write", "devboxes:none objects:read", "devboxes:write", "secrets:read")
        put(store, a_key("key_0"))
        put(store, *(a_key(f"key_{n}", "key_0", scopes=text) for n, text in enumerate(scopes, start=1)))
        assert listed(store, resource="devboxes") == ["key_3", "key_1"]
        assert listed(store, resource="objects") == ["key_2", "key_1"]
        assert listed(store, resource="boxes") == []

    def test_created_by_is_the_parent(self, store: Store) -> None:
        put(store, a_key("key_0"), a_key("key_1", "key_0"), a_key("key_2", "key_1"))
        assert listed(store, created_by="key_0") == ["key_1"]
        assert listed(store, created_by="key_1", name="agent") == ["key_2"]

    def test_expiry_is_compared_strictly_and_never_comes_for_a_key_without(self, store: Store) -> None:
        put(store, a_key("key_0"), a_key("key_1", "key_0"), a_key("key_2", "key_0", expires_at_ms=50))
        assert listed(store, expires_before_ms=50) == []
        assert listed(store, expires_before_ms=51) == ["key_2"]

    def test_a_key_that_was_never_used_counts_from_its_creation(self, store: Store) -> None:
        put(store, a_key("key_0"), a_key("key_1", "key_0", created_at_ms=5), a_key("key_2", "key_0", created_at_ms=5))
        use(store, {"key_2": 8})
        assert listed(store, last_used_before_ms=5) == []
        assert listed(store, last_used_before_ms=6) == ["key_1"]
        assert listed(store, last_used_before_ms=9) == ["key_2", "key_1"]

    def test_the_status_is_that_of_the_nearest_obstacle(self, store: Store) -> None:
        put(store, a_key("key_0"), a_key("key_1", "key_0", suspended_at_ms=1), a_key("key_2", "key_1"))
        put(store, a_key("key_3", "key_2", expires_at_ms=NOW), a_key("key_4", "key_3"), a_key("key_5", "key_0"))
        put(store, a_key("key_6", "key_5", revoked_at_ms=1, expires_at_ms=1), a_key("key_7", "key_5", expires_at_ms=2))
        assert listed(store, status=State.ACTIVE) == ["key_5"]
        assert listed(store, status=State.SUSPENDED) == ["key_2", "key_1"]
        assert listed(store, status=State.EXPIRED) == ["key_7", "key_4", "key_3"]
        assert listed(store, status=State.REVOKED) == ["key_6"]
        assert listed(store, status=State.EXPIRED, now_ms=NOW - 1) == ["key_7"]

    def test_keys_are_counted_by_kind_and_the_status_of_their_lineage(self, store: Store) -> None:
        put(
            store,
            a_key("key_1"),
            a_key("key_2", "key_1", revoked_at_ms=5),
            a_key("key_3", "key_2"),
            a_key("key_4", "key_1", expires_at_ms=NOW),
            a_key("key_5", "key_1", suspended_at_ms=5),
            a_key("key_6", "key_1", expires_at_ms=NOW + 1),
            a_key("key_7", account=OTHER),
        )
        assert store.read(lambda reader: reader.key_counts(NOW)) == [
            KeyCount(Kind.STANDARD, State.ACTIVE, 2),
            KeyCount(Kind.RESTRICTED, State.ACTIVE, 1),
            KeyCount(Kind.RESTRICTED, State.EXPIRED, 1),
            KeyCount(Kind.RESTRICTED, State.REVOKED, 2),
            KeyCount(Kind.RESTRICTED, State.SUSPENDED, 1),
        ]
