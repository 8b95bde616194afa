"""What a real server writes down: changes, denials, and the count of what was allowed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyscope.authority.trail import Entry, EntryQuery, UseCount, UseQuery
from keyscope.store.trail import SqliteTrail
from keyscope.store.trail_open import open_trail, trail_beside
from tests.live import Live
from tests.recorder import Recorder

WAIT_S = 10.0


@pytest.fixture
def server(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory(), upstream=upstream.url) as live:
        yield live


class Seen:
    """The trail of a server, read from its file."""

    def __init__(self, live: Live) -> None:
        self.trail: SqliteTrail = open_trail(trail_beside(live.database))
        self.account = next(e.account_id for e in self.entries() if e.kind == "account.created")

    def entries(self, **conditions: object) -> list[Entry]:
        query = EntryQuery(account_id=None, limit=10_000, after=0, **conditions)  # type: ignore[arg-type]
        return list(self.trail.entries(query).items)

    def uses(self) -> list[UseCount]:
        assert self.account is not None
        return self.trail.uses(UseQuery(account_id=self.account, step_ms=None))


def test_changes_denials_and_counts_are_there_after_a_stop(server: Live) -> None:
    key = server.mint("devboxes:read", name="watched")
    for _ in range(7):
        assert server.call("GET", "/v1/devboxes", key["key_secret"]).status_code == 200
    refused = server.call("POST", "/v1/devboxes", key["key_secret"], headers={"x-request-id": "req-1"})
    assert refused.status_code == 403
    assert server.call("GET", "/v1/devboxes", "").status_code == 401
    server.revoke(key["id"])
    assert server.call("GET", "/v1/devboxes", key["key_secret"]).status_code == 401
    server.stop()
    seen = Seen(server)
    assert next(e.kind for e in seen.entries()) == "trail.begun"
    changed = [e.kind for e in seen.entries(key_id=key["id"]) if e.event is not None]
    assert changed == ["key.minted", "key.revoked", "key.dead_used"]
    assert [(u.operation, u.calls, list(map(str, u.needs))) for u in seen.uses() if u.key_id == key["id"]] == [
        ("listDevboxes", 7, ["devboxes:read"])
    ]
    lacking, dead = seen.entries(key_id=key["id"], kind="call.denied")
    assert (lacking.code, lacking.reasons, lacking.missing) == (
        "insufficient_scope",
        ("missing_scope",),
        ("devboxes:write",),
    )
    assert (lacking.operation, lacking.method, lacking.path) == ("createDevbox", "POST", "/v1/devboxes")
    assert (lacking.peer, lacking.request_id) == ("127.0.0.1", "req-1")
    assert (lacking.chain[0], len(lacking.chain)) == (key["id"], 2)
    assert (dead.code, dead.reasons) == ("invalid_token", ("revoked",))
    (nobody,) = [e for e in seen.entries(kind="call.denied") if e.key_id is None]
    assert (nobody.code, nobody.account_id, nobody.peer) == ("missing_credential", None, "127.0.0.1")


def test_what_is_recorded_can_be_read_within_a_second(server: Live) -> None:
    key = server.mint("devboxes:read")
    server.call("DELETE", "/nowhere", key["key_secret"])
    end = time.monotonic() + WAIT_S
    while not (found := Seen(server).entries(kind="call.denied")):
        assert time.monotonic() < end
    assert (found[0].code, found[0].operation, found[0].path) == ("not_in_policy", None, "/nowhere")
