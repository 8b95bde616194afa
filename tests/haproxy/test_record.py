"""What HAProxy judges by itself is in the audit trail: allowed calls counted exactly, refusals one by one."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from keyscope.authority.trail import Entry, EntryQuery, UseQuery
from keyscope.store.trail_open import open_trail, trail_beside
from tests.haproxy.conftest import engine_live
from tests.haproxy.inside import Inside, children, until
from tests.haproxy.many import minted
from tests.live import Live
from tests.recorder import Recorder

LIST, SHOW = "/v1/devboxes", "/v1/devboxes/dbx_1"


@pytest.fixture
def fresh(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with engine_live(new_directory(), upstream.url) as server:
        until(Inside(server).is_judging)
        yield server


class Seen:
    """The trail beside a server's database."""

    def __init__(self, live: Live) -> None:
        self._trail = open_trail(trail_beside(live.database))
        self._account = next(entry.account_id for entry in self.entries() if entry.account_id)

    def entries(self, **conditions: object) -> list[Entry]:
        query = EntryQuery(account_id=None, limit=10_000, after=0, **conditions)  # type: ignore[arg-type]
        return list(self._trail.entries(query).items)

    def calls(self, key_id: str) -> Counter[str | None]:
        """How often the key made each operation."""
        uses = self._trail.uses(UseQuery(account_id=self._account, key_ids=(key_id,)))
        found: Counter[str | None] = Counter()
        for use in uses:
            found[use.operation] += use.calls
        return found


def called(live: Live, secret: str, path: str, count: int) -> int:
    """How many of so many calls were let through."""
    return [live.call("GET", path, secret).status_code for _ in range(count)].count(200)


def test_allowed_calls_are_counted_by_key_and_operation(fresh: Live) -> None:
    one, other = fresh.mint("devboxes:write", "agents:read"), fresh.mint("devboxes:write")
    before = Inside(fresh).answered_by()
    assert called(fresh, one["key_secret"], LIST, 7) == 7
    assert called(fresh, one["key_secret"], f"{LIST}?limit=1", 2) == 2
    assert called(fresh, one["key_secret"], SHOW, 5) == 5
    assert called(fresh, other["key_secret"], SHOW, 3) == 3
    assert Inside(fresh).answered_by()["api"] - before["api"] == 17
    fresh.stop()
    seen = Seen(fresh)
    assert seen.calls(one["id"]) == {"listDevboxes": 9, "getDevbox": 5}
    assert seen.calls(other["id"]) == {"getDevbox": 3}


def test_they_are_there_within_a_second_or_so(fresh: Live) -> None:
    key = fresh.mint("devboxes:read")
    assert called(fresh, key["key_secret"], SHOW, 3) == 3
    began = time.monotonic()
    until(lambda: Seen(fresh).calls(key["id"]) == {"getDevbox": 3})
    assert time.monotonic() - began < 5


def test_a_reload_loses_no_count(upstream: Recorder, new_directory: Callable[[], Path]) -> None:
    server = engine_live(new_directory(), upstream.url)
    with server:
        root, key = server.mint("account:write", "devboxes:read"), server.mint("devboxes:read")
    minted(server, 10_500, below=root["id"])  # more than HAProxy is told of one by one
    with server:
        inside = Inside(server)
        until(inside.is_judging)
        workers = children(inside.haproxy)
        allowed = called(server, key["key_secret"], SHOW, 20)
        server.revoke(root["id"])
        while children(inside.haproxy) == workers or not inside.is_judging():
            allowed += called(server, key["key_secret"], SHOW, 1)
        allowed += called(server, key["key_secret"], SHOW, 20)
    assert Seen(server).calls(key["id"]) == {"getDevbox": allowed}


@pytest.mark.parametrize("part", ["haproxy", "engine"])
def test_a_killed_part_loses_at_most_what_was_called_in_the_last_second(fresh: Live, part: str) -> None:
    key = fresh.mint("devboxes:read")
    times: list[float] = []
    end = time.monotonic() + 3
    with httpx.Client(base_url=fresh.url, headers={"authorization": f"Bearer {key['key_secret']}"}) as client:
        while time.monotonic() < end:
            assert client.get(SHOW).status_code == 200
            times.append(time.monotonic())
    os.kill(getattr(Inside(fresh), part), signal.SIGKILL)
    killed = time.monotonic()
    until(Inside(fresh).is_judging)
    fresh.stop()
    counted = Seen(fresh).calls(key["id"])["getDevbox"]
    assert len([at for at in times if at < killed - 1]) <= counted <= len(times)


def test_refusals_are_written_down_with_their_reason(fresh: Live) -> None:
    key = fresh.mint("devboxes:read")
    before = Inside(fresh).answered_by()
    headers = {"x-request-id": "req-7"}
    assert fresh.call("POST", f"{SHOW}/suspend?x=1", key["key_secret"], headers=headers).status_code == 403
    assert fresh.call("GET", SHOW, key["key_secret"][:-1] + "_").status_code == 401  # Keyscope's to judge
    assert fresh.call("GET", SHOW, "ak_" + "0" * 49).status_code == 401
    assert fresh.call("GET", SHOW, "").status_code == 401
    assert Inside(fresh).answered_by()["keyscope"] - before["keyscope"] == 1
    fresh.stop()
    denied = Seen(fresh).entries(kind="call.denied")
    [lacking] = [entry for entry in denied if entry.key_id == key["id"]]
    assert (lacking.code, lacking.reasons, lacking.missing) == (
        "insufficient_scope",
        ("missing_scope",),
        ("devboxes:write",),
    )
    assert (lacking.operation, lacking.method, lacking.path) == ("suspendDevbox", "POST", f"{SHOW}/suspend")
    assert (lacking.peer, lacking.request_id, lacking.chain[0]) == ("127.0.0.1", "req-7", key["id"])
    assert lacking.chain[1:], "who minted it"
    others = Counter((entry.code, entry.peer) for entry in denied if entry.key_id is None for _ in range(entry.times))
    assert others == {("invalid_token", "127.0.0.1"): 2, ("missing_credential", "127.0.0.1"): 1}


def test_it_judges_no_longer_while_nothing_can_be_written_down(fresh: Live) -> None:
    key = fresh.mint("devboxes:read")

    def ask() -> httpx.Response:
        return fresh.call("GET", SHOW, key["key_secret"])

    with closing(sqlite3.connect(trail_beside(fresh.database), isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert ask().status_code == 200  # short trouble refuses nobody
        until(lambda: ask().status_code == 503)
        assert ask().json()["code"] == "audit_unavailable"
        until(lambda: not Inside(fresh).is_judging())
        other.execute("ROLLBACK")
    until(lambda: ask().status_code == 200)
    until(Inside(fresh).is_judging)
