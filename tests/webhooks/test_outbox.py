"""What waits to be told: kept across processes, once each, fair to every endpoint; sealed secrets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyscope.authority.webhooks import LONGEST_MS, MOST_ENDPOINTS, Endpoint, Marks, Message, wait_ms
from keyscope.errors import ConfigurationError, StoreUnavailable
from keyscope.store.outbox import SqliteOutbox, open_outbox
from keyscope.webhooks.signing import Sealer, new_secret, sealer_beside

NOWHERE = Marks(0, 0, 0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keyscope.db.webhooks"


def an_endpoint(number: int, *kinds: str, account: str = "acct_1") -> Endpoint:
    return Endpoint(
        id=f"whk_{number}",
        account_id=account,
        url="https://example.com/",
        kinds=kinds,
        sealed=b"sealed",
        created_at_ms=100,
    )


def a_message(source: str, kind: str = "key.minted", at_ms: int = 200) -> Message:
    return Message(source=source, account_id="acct_1", kind=kind, at_ms=at_ms, body=b"{}")


def put(outbox: SqliteOutbox, *messages: Message) -> None:
    outbox.put(messages, NOWHERE, [], 300)


def waiting(outbox: SqliteOutbox) -> list[tuple[str, int]]:
    return [(delivery.endpoint.id, delivery.number) for delivery in outbox.due(300, 50)]


def test_the_same_thing_is_one_message_and_goes_to_whoever_wants_it(path: Path) -> None:
    outbox = open_outbox(path)
    for endpoint in (an_endpoint(1), an_endpoint(2, "key.revoked"), an_endpoint(3, account="acct_2")):
        outbox.add_endpoint(endpoint)
    put(outbox, a_message("one"), a_message("two", "key.revoked"), a_message("early", at_ms=99))
    put(outbox, a_message("one"))
    assert waiting(outbox) == [("whk_1", 1), ("whk_1", 2), ("whk_2", 2)]


def test_what_waits_is_there_for_the_next_process(path: Path) -> None:
    outbox = open_outbox(path)
    outbox.add_endpoint(an_endpoint(1))
    outbox.put([a_message("one")], Marks(7, 8, 9), [], 300)
    outbox.close()
    again = open_outbox(path)
    assert waiting(again) == [("whk_1", 1)]
    assert again.marks() == Marks(7, 8, 9)
    again.delivered(again.due(300, 50)[0])
    assert waiting(again) == []
    put(again, a_message("two"))
    assert waiting(again) == [("whk_1", 2)], "numbers are never given again"


def test_one_with_much_to_take_leaves_the_others_theirs(path: Path) -> None:
    outbox = open_outbox(path)
    outbox.add_endpoint(an_endpoint(1))
    put(outbox, *(a_message(str(number)) for number in range(200)))
    outbox.add_endpoint(an_endpoint(2))
    put(outbox, a_message("last"))
    assert ("whk_2", 201) in waiting(outbox)


def test_first_uses_are_kept_only_for_somebody_and_until_they_are_told(path: Path) -> None:
    outbox = open_outbox(path)
    outbox.note_first_uses({"key_1": 5})
    assert outbox.first_uses() == {}
    outbox.add_endpoint(an_endpoint(1))
    outbox.note_first_uses({"key_1": 5})
    outbox.note_first_uses({"key_1": 6})
    assert outbox.first_uses() == {"key_1": 5}
    outbox.put([], NOWHERE, ["key_1"], 300)
    assert outbox.first_uses() == {}


def test_an_account_has_a_bounded_number_of_endpoints(path: Path) -> None:
    outbox = open_outbox(path)
    assert all(outbox.add_endpoint(an_endpoint(number)) for number in range(MOST_ENDPOINTS))
    assert not outbox.add_endpoint(an_endpoint(MOST_ENDPOINTS))


@given(tries=st.integers(1, 40), random=st.floats(0, 1), asked=st.integers(0, 1 << 40))
def test_a_wait_grows_is_never_shorter_than_asked_and_is_bounded(tries: int, random: float, asked: int) -> None:
    wait = wait_ms(5000, tries, random, asked)
    full = min(5000 * 3 ** (tries - 1), LONGEST_MS)
    assert max(full // 2, min(asked, LONGEST_MS)) <= wait <= LONGEST_MS


def test_a_secret_opens_with_its_own_key_for_its_own_endpoint_alone() -> None:
    secret = new_secret(bytes(32))
    sealed = Sealer(b"k" * 32).seal("whk_1", secret, b"n" * 12)
    assert secret.reveal().encode() not in sealed
    assert Sealer(b"k" * 32).open("whk_1", sealed).reveal() == secret.reveal()
    for key, endpoint in ((b"x" * 32, "whk_1"), (b"k" * 32, "whk_2")):
        with pytest.raises(StoreUnavailable):
            Sealer(key).open(endpoint, sealed)


def test_the_key_of_the_secrets_is_made_once_and_for_this_user_alone(new_directory: Callable[[], Path]) -> None:
    database = new_directory() / "keyscope.db"
    first, second = sealer_beside(database, b"a" * 32), sealer_beside(database, b"b" * 32)
    sealed = first.seal("whk_1", new_secret(bytes(32)), b"n" * 12)
    assert second.open("whk_1", sealed).reveal() == new_secret(bytes(32)).reveal()
    file = database.with_name("keyscope.db.webhooks.key")
    assert file.stat().st_mode & 0o777 == 0o600
    file.write_bytes(b"short")
    with pytest.raises(ConfigurationError):
        sealer_beside(database, b"a" * 32)
