"""Servers that share a database need one key for held calls. With two of them nothing is lost, and it is said."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from keyscope.authority.boxes import Box
from keyscope.authority.holds import Asked, Holds, Request
from keyscope.authority.ports import Account
from keyscope.errors import StoreUnavailable
from keyscope.model.event import Origin
from keyscope.model.held import Held, HeldState, Terms
from keyscope.model.key import Lineage
from keyscope.model.token import Kind
from keyscope.store.memory import MemoryStore
from tests.cli.run import keyscope
from tests.holds.asking import HOLDS, SHUTDOWN, decide, ended, held, holding, until
from tests.laws.seams import HandClock, SeededEntropy
from tests.live import Live
from tests.postgres import Databases
from tests.recorder import Recorder
from tests.store.samples import a_key

WAIT_MS = 10
ASKS, WAITS = Terms(WAIT_MS, is_delay=False), Terms(WAIT_MS, is_delay=True)


class Servers:
    """Two with other keys, and one that has the key of the first."""

    def __init__(self) -> None:
        self.clock, store, entropy = HandClock(), MemoryStore(), SeededEntropy()
        self.one, self.other, self.like_one = (
            Holds(store, self.clock, entropy, Box(key * 32, b"test")) for key in (b"a", b"b", b"a")
        )
        self.first = Lineage(a_key("key_1", kind=Kind.STANDARD))
        store.write(lambda writer: writer.add_account(Account("acct_1", "One", 1)))
        store.write(lambda writer: writer.add_key(self.first.key))
        self.store = store

    def hold(self, holds: Holds, name: str, terms: Terms = ASKS) -> Held:
        asked = Asked(
            operation="shutdownDevbox", method="POST", target=f"/v1/devboxes/{name}/shutdown",
            request=Request([], b"{}", "127.0.0.1"), request_id=None,
        )  # fmt: skip
        return holds.hold(self.first, asked, terms, Origin())

    def approve(self, holds: Holds, held: Held) -> None:
        holds.approve(self.first, held.id, None, None, Origin())


@pytest.fixture
def servers() -> Servers:
    return Servers()


def test_a_mark_says_which_key_it_is_and_for_what() -> None:
    marks = [Box(key * 32, purpose).mark for key in (b"a", b"b") for purpose in (b"one", b"two")]
    assert len(set(marks)) == 4
    assert Box(b"a" * 32, b"one").mark == marks[0]


def test_whoever_has_another_key_holds_no_call_beside_those_that_wait(servers: Servers) -> None:
    kept = servers.hold(servers.one, "dbx_1")
    with pytest.raises(StoreUnavailable, match="put the same file on every server"):
        servers.hold(servers.other, "dbx_2")
    assert servers.hold(servers.other, "dbx_1") == kept  # the same call, held once
    servers.hold(servers.like_one, "dbx_3")


@pytest.mark.parametrize("terms", [ASKS, WAITS], ids=["approved", "delayed"])
def test_a_call_is_sent_by_a_server_that_can_open_it_whoever_lets_it_go(servers: Servers, terms: Terms) -> None:
    kept = servers.hold(servers.one, "dbx_1", terms)
    if terms is ASKS:
        servers.approve(servers.other, kept)
    servers.clock.at_ms += WAIT_MS
    assert servers.other.due() == []
    assert servers.other.claim(kept.id) is None
    assert [call.id for call in servers.like_one.due()] == [kept.id]
    taken = servers.like_one.claim(kept.id)
    assert taken is not None
    assert servers.like_one.request(taken).body == b"{}"


def test_a_call_that_nobody_approved_ends_at_whichever_server_and_then_any_key_will_do(servers: Servers) -> None:
    kept = servers.hold(servers.one, "dbx_1")
    servers.clock.at_ms += WAIT_MS
    assert [call.id for call in servers.other.due()] == [kept.id]
    assert servers.other.claim(kept.id) is None
    assert servers.other.get(servers.first, kept.id).state is HeldState.EXPIRED
    servers.hold(servers.other, "dbx_2")


def test_a_server_with_another_key_does_not_start_while_calls_wait(
    databases: Databases, upstream: Recorder, new_directory: Callable[[], Path]
) -> None:
    options = ["--database", databases.fresh()]
    one, other = (Live(new_directory(), upstream=upstream.url, options=options) for _ in range(2))
    with one:
        until(lambda: one.call("GET", "/keyscope/readyz", "").status_code == 200)
        hold_id = held(one.call("POST", SHUTDOWN, holding(one)["key_secret"]))["id"]
    key = "keyscope-replica.db.webhooks.key"
    refused = keyscope("serve", *options, "--port", str(other.port), cwd=other.directory)
    said = " ".join(refused.stderr.split())
    assert refused.returncode == 2
    assert f"put their file in the place of {other.directory / key}, the same on all" in said
    assert "keyscope db end-held" in said
    (other.directory / key).write_bytes((one.directory / key).read_bytes())
    other.first = one.first
    with other:
        until(lambda: other.call("GET", "/keyscope/readyz", "").status_code == 200)
        decide(other, hold_id, "approve")
        assert ended(other, hold_id)["status"] == "done"


def test_servers_that_are_given_the_key_need_no_file(upstream: Recorder, new_directory: Callable[[], Path]) -> None:
    key, directory = b64encode(b"k" * 32).decode(), new_directory()
    live = Live(directory, upstream=upstream.url, environment={"KEYSCOPE_HELD_KEY": key})
    with live:
        hold_id = held(live.call("POST", SHUTDOWN, holding(live)["key_secret"]))["id"]
    live.database.with_name("keyscope.db.webhooks.key").unlink()
    words = ("serve", "--database", f"sqlite:///{live.database}", "--port", str(live.port))
    wrong = {"": "if the other servers have it", b64encode(b"x" * 32).decode(): "as it was when they were held"}
    for given, remedy in wrong.items():
        refused = keyscope(*words, cwd=directory, KEYSCOPE_HELD_KEY=given)
        assert (refused.returncode, f"Set KEYSCOPE_HELD_KEY {remedy}" in " ".join(refused.stderr.split())) == (2, True)
    short = keyscope(*words, cwd=directory, KEYSCOPE_HELD_KEY="c2hvcnQ=")
    assert (short.returncode, "/dev/urandom | base64" in short.stderr, "c2hvcnQ" in short.stderr) == (2, True, False)
    with live:
        decide(live, hold_id, "approve")
        assert ended(live, hold_id)["status"] == "done"


def test_what_no_server_can_open_is_ended_unsent(upstream: Recorder, new_directory: Callable[[], Path]) -> None:
    live = Live(new_directory(), upstream=upstream.url)
    with live:
        hold_id = held(live.call("POST", SHUTDOWN, holding(live)["key_secret"]))["id"]
    upstream.take()
    live.database.with_name("keyscope.db.webhooks.key").unlink()
    words = ("--database", f"sqlite:///{live.database}")
    assert keyscope("serve", *words, "--port", str(live.port), cwd=live.directory).returncode == 2
    assert "1 held calls were ended, and are not sent" in keyscope("db", "end-held", *words).stderr
    with live:
        [seen] = live.call("GET", HOLDS).json()["holds"]
        assert (seen["id"], seen["status"]) == (hold_id, "unknown")
    assert upstream.take() == []
