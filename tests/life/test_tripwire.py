"""The use of a secret that is good no longer is counted and recorded, and ends nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from keyscope.authority.ports import Writer
from keyscope.authority.tripwire import DeadKeyUses
from keyscope.derive import attenuate
from keyscope.model.event import EventKind
from keyscope.model.key import Lineage
from keyscope.store.memory import MemoryStore
from tests.life.asking import done, now_ms, status, verb, view
from tests.life.test_delegation import events_of
from tests.live import Live, new_first_key
from tests.store.samples import ACCOUNT, NOW, a_key, put


@pytest.fixture
def alone(new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory()) as server:
        yield server


def told(live: Live) -> list[dict[str, Any]]:
    """What was recorded; the server is stopped, which writes down all that it gathered."""
    account = done(live.call("GET", "/keyscope/me"))["account_id"]
    live.stop()
    events = [stored.event for stored in events_of(live, account) if stored.event.kind.value == "key.dead_used"]
    return [{"key_id": event.key_id, "peer": event.origin.peer, **event.changes} for event in events]


def test_each_kind_of_dead_secret_is_recorded_and_counted(alone: Live) -> None:
    rotated, revoked = alone.mint("devboxes:read"), alone.mint("devboxes:read")
    expired = alone.mint("devboxes:read", expires_at_ms=now_ms() + 300)
    suspended = alone.mint("devboxes:read")
    turned = done(verb(alone, rotated["id"], "rotate"))
    alone.revoke(revoked["id"])
    verb(alone, suspended["id"], "suspend")
    time.sleep(0.4)
    for key in (rotated, revoked, revoked, expired, suspended):
        assert status(alone, key["key_secret"]) == 401
    recorded = sorted((event["key_id"], event["secret"], event["uses"], event["peer"]) for event in told(alone))
    assert recorded == sorted(
        [
            (rotated["id"], "rotated", 1, "127.0.0.1"),
            (revoked["id"], "revoked", 2, "127.0.0.1"),
            (expired["id"], "expired", 1, "127.0.0.1"),
        ]
    )
    alone.start()
    assert view(alone, revoked["id"])["dead_uses"] == 2
    assert view(alone, revoked["id"])["dead_used_at_ms"] <= now_ms()
    assert view(alone, suspended["id"])["dead_uses"] == 0
    assert status(alone, turned["key_secret"]) == 200


def test_a_hammering_client_leaves_one_event_and_the_whole_count(alone: Live) -> None:
    made = alone.mint("devboxes:read")
    alone.revoke(made["id"])
    for _ in range(150):
        status(alone, made["key_secret"])
    end = time.monotonic() + 10
    while view(alone, made["id"])["dead_uses"] < 150 and time.monotonic() < end:
        time.sleep(0.1)
    status(alone, made["key_secret"])
    assert len(told(alone)) == 1
    alone.start()
    assert view(alone, made["id"])["dead_uses"] == 151


def test_the_gate_and_the_children_of_a_dead_key_are_watched_too(alone: Live) -> None:
    made = alone.mint("account:write", "devboxes:read")
    child = alone.mint("devboxes:read", by=made["key_secret"])
    alone.revoke(made["id"])
    assert alone.call("GET", "/v1/devboxes", child["key_secret"]).status_code == 401
    assert [event["key_id"] for event in told(alone)] == [child["id"]]


def test_a_derived_key_is_watched_under_the_key_it_came_from(alone: Live) -> None:
    made = alone.mint("devboxes:read")
    ended, expired = attenuate(made["key_secret"]), attenuate(made["key_secret"], expires_at_ms=now_ms() + 200)
    done(alone.call("POST", "/keyscope/me/revoke", ended))
    time.sleep(0.3)
    assert {status(alone, key) for key in (ended, expired)} == {401}
    assert {(event["key_id"], event["secret"]) for event in told(alone)} == {
        (made["id"], "revoked"),
        (made["id"], "expired"),
    }


def test_unknown_keys_leave_no_trace(alone: Live) -> None:
    assert status(alone, new_first_key()) == 401
    assert told(alone) == []


def test_it_is_told_by_the_transaction_that_lasts_when_one_before_it_was_undone() -> None:
    store, uses = MemoryStore(), DeadKeyUses()
    put(store, a_key("key_1", revoked_at_ms=NOW))
    uses.note(Lineage(a_key("key_1", revoked_at_ms=NOW)), NOW + 1, None)
    taken = uses.take()

    def undone(writer: Writer) -> NoReturn:
        uses.write(writer, taken)
        raise LookupError

    with pytest.raises(LookupError):
        store.write(undone)
    store.write(lambda writer: uses.write(writer, taken))
    (stored,) = store.read(lambda reader: reader.events(ACCOUNT.id))
    assert stored.event.kind is EventKind.KEY_DEAD_USED
