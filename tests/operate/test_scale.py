"""The model of many gates stands on what is measured: sizes made here, speeds of the bench, a real server."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import pytest
from bench.worldwide.figures import HELD, figures
from bench.worldwide.model import WORLDWIDE, World
from bench.worldwide.simulation import Run, Simulation
from bench.worldwide.tables import CUT, STUCK, simulated, speeds_of

from keyscope.authority.mint import Wanted, draw
from keyscope.model.key import Key
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from keyscope.store.rows import record_of
from keyscope.system import SystemClock
from tests.api.following import Follower, following
from tests.laws.seams import SeededEntropy
from tests.live import Live

KNOWN = figures()
KEYS = 10_000
STREAMS = 20
REVOKED = 15
NEAR = World((0.1,), gates=STREAMS, keys=0, shards=1, changes_per_s=0)
FACTOR = 5
"""Between a model of means and one machine on a busy day."""


def keys() -> Iterator[Key]:
    """Restricted keys as agents have them, below one standard key."""
    entropy, now_ms = SeededEntropy(), SystemClock().now_ms()
    root = draw(Wanted(kind=Kind.STANDARD, scopes=()), "acct_0000000000000000000000", None, now_ms, entropy).key
    scopes = tuple(map(Scope.parse, ("devboxes:write", "blueprints:read", "objects:read")))
    for number in range(KEYS):
        wanted = Wanted(kind=Kind.RESTRICTED, scopes=scopes, name=f"agent-{number}", expires_at_ms=now_ms + 86_400_000)
        made = draw(wanted, root.account_id, None, now_ms, entropy).key
        yield msgspec.structs.replace(made, parent_id=root.id)


def test_a_key_takes_as_much_room_in_a_copy_as_the_model_says(tmp_path: Path) -> None:
    """The tables of a node's copy: the record by its digest, and the digest by the key's id."""
    with closing(sqlite3.connect(tmp_path / "copy.db")) as connection, connection:
        connection.execute("CREATE TABLE records (digest BLOB PRIMARY KEY, record BLOB NOT NULL) STRICT, WITHOUT ROWID")
        connection.execute("CREATE TABLE keys (id TEXT PRIMARY KEY, digest BLOB NOT NULL) STRICT, WITHOUT ROWID")
        for key in keys():
            connection.execute("INSERT INTO records VALUES (?, ?)", (key.digest, record_of(key)))
            connection.execute("INSERT INTO keys VALUES (?, ?)", (key.id, key.digest))
    assert (tmp_path / "copy.db").stat().st_size / KEYS == pytest.approx(KNOWN["key_bytes"].value, rel=0.15)


def test_a_change_is_as_large_as_the_model_says() -> None:
    sizes = [len(msgspec.json.encode((1_000_000, key.id, key.digest, record_of(key)))) for key in keys()]
    assert sum(sizes) / KEYS == pytest.approx(KNOWN["change_bytes"].value, rel=0.15)


def test_no_gate_accepts_after_what_a_receipt_says_whatever_is_cut_off_or_stuck() -> None:
    run = simulated(WORLDWIDE, speeds_of(KNOWN), (CUT, STUCK))
    assert run.exposed == 0
    assert any(receipt.pending > STUCK.stuck_gates for receipt in run.receipts), "nothing was cut off"
    assert 0 < run.longest_closed_ms < CUT.to_ms - CUT.from_ms


def test_a_wrong_rule_of_leases_is_found() -> None:
    assert simulated(WORLDWIDE, speeds_of(KNOWN), (CUT, STUCK), wrong=True).exposed > 0


def test_a_receipt_takes_the_round_trip_to_the_farthest_region_and_little_more() -> None:
    took = took_ms(simulated(WORLDWIDE, speeds_of(KNOWN)))
    farthest = max(WORLDWIDE.rtts_ms)
    assert farthest <= took[0] <= took[len(took) // 2] <= 1.5 * farthest


def test_the_simulation_says_the_same_each_time() -> None:
    assert simulated(NEAR, speeds_of(KNOWN)) == simulated(NEAR, speeds_of(KNOWN))


def took_ms(run: Run) -> list[float]:
    return sorted(receipt.took_ms for receipt in run.receipts)


def test_three_nodes_are_as_fast_as_was_measured() -> None:
    """The simulation begins with the commit."""
    took = took_ms(Simulation(NEAR._replace(gates=3), speeds_of(KNOWN)).run(20, 5))
    whole = took[len(took) // 2] + KNOWN["commit_ms"].value
    assert 1 / FACTOR <= whole / KNOWN["three_p50"].value <= FACTOR


def test_every_figure_is_held_by_a_test_or_was_measured_by_the_bench() -> None:
    assert {figure.source.partition(",")[0] for figure in KNOWN.values()} == {"bench", HELD}


class Heard(threading.Thread):
    """One who follows a server, and notes when it hears of each key's end."""

    def __init__(self, follower: Follower) -> None:
        super().__init__(daemon=True)
        self.at_s: dict[str, float] = {}
        self._follower = follower
        follower.next("ready")

    def run(self) -> None:
        while len(self.at_s) < REVOKED:
            change = self._follower.next("change")
            if change["kind"] == "key.revoked":
                self.at_s[change["key_id"]] = time.monotonic()


def test_a_running_server_with_many_followers_is_as_fast_as_the_model_says(new_directory: Callable[[], Path]) -> None:
    """From the sending of a revocation until the last of the followers has heard of it."""
    with Live(new_directory()) as live, ExitStack() as streams:
        made = [live.mint("devboxes:read")["id"] for _ in range(REVOKED)]
        followers = [Heard(streams.enter_context(following(live.url, live.first))) for _ in range(STREAMS)]
        for follower in followers:
            follower.start()
        sent_s = {}
        for key_id in made:
            sent_s[key_id] = time.monotonic()
            assert live.revoke(key_id).status_code == 200
        for follower in followers:
            follower.join(30)
        took = [1000 * (max(one.at_s[key_id] for one in followers) - sent_s[key_id]) for key_id in made]
    expected = took_ms(Simulation(NEAR, speeds_of(KNOWN)).run(10, 2))[0]
    assert expected / FACTOR <= min(took) <= expected * FACTOR, (sorted(took), expected)
