"""What every store guarantees about the console's sessions."""

from __future__ import annotations

import pytest
from msgspec.structs import replace as with_
from tests.store.samples import NOW, a_key, digest, put

from keyscope.authority.ports import Session, Store, Writer


def a_session(word: str, key_id: str = "key_1", opened_at_ms: int = NOW) -> Session:
    return Session(
        digest=digest(word),
        key_id=key_id,
        key_digest=digest(key_id),
        csrf=b"c" * 32,
        opened_at_ms=opened_at_ms,
        seen_at_ms=opened_at_ms,
        ends_at_ms=opened_at_ms + 100,
    )


def keep(store: Store, *sessions: Session) -> None:
    for session in sessions:
        store.write(lambda writer, kept=session: writer.put_session(kept))  # type: ignore[misc]


def found(store: Store, word: str) -> Session | None:
    return store.read(lambda reader: reader.session(digest(word)))


class SessionContract:
    """Beside KeepingContract."""

    def test_a_session_comes_back_as_it_was_and_is_replaced_by_its_digest(self, store: Store) -> None:
        put(store, a_key("key_1"))
        keep(store, a_session("one"))
        assert found(store, "one") == a_session("one")
        assert found(store, "two") is None
        seen = with_(a_session("one"), seen_at_ms=NOW + 7)
        keep(store, seen)
        assert found(store, "one") == seen

    def test_the_sessions_of_a_key_come_oldest_first(self, store: Store) -> None:
        put(store, a_key("key_1"), a_key("key_2"))
        young, old = a_session("young", opened_at_ms=9), a_session("old", opened_at_ms=5)
        keep(store, young, old, a_session("other", "key_2"))
        assert store.read(lambda reader: reader.sessions("key_1")) == [old, young]
        assert store.read(lambda reader: reader.sessions("key_3")) == []

    def test_a_session_ends_and_ending_it_again_changes_nothing(self, store: Store) -> None:
        put(store, a_key("key_1"))
        keep(store, a_session("one"), a_session("two"))
        for _ in range(2):
            store.write(lambda writer: writer.end_session(digest("one")))
        assert (found(store, "one"), found(store, "two")) == (None, a_session("two"))

    def test_sessions_are_dropped_at_their_latest_end(self, store: Store) -> None:
        put(store, a_key("key_1"))
        keep(store, a_session("one", opened_at_ms=1), a_session("two", opened_at_ms=2))
        store.write(lambda writer: writer.drop_sessions(101))
        assert (found(store, "one"), found(store, "two")) == (None, a_session("two", opened_at_ms=2))

    def test_a_session_needs_its_key(self, store: Store) -> None:
        put(store, a_key("key_1"))
        with pytest.raises(ValueError, match="not in the store"):
            keep(store, a_session("one", "key_2"))

    def test_a_write_that_fails_leaves_the_sessions_as_they_were(self, store: Store) -> None:
        put(store, a_key("key_1"))
        keep(store, a_session("one"))

        def work(writer: Writer) -> None:
            writer.put_session(a_session("two"))
            writer.end_session(digest("one"))
            raise KeyError

        with pytest.raises(KeyError):
            store.write(work)
        assert (found(store, "one"), found(store, "two")) == (a_session("one"), None)
