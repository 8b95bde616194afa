"""``kill -9`` at random moments: every acknowledged change is there afterwards, and none is half there."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.live import Live

ROUNDS = 200
KILLS = 12


@dataclass
class Acknowledged:
    """What the server said it had done."""

    minted: dict[str, str] = field(default_factory=dict)
    revoked: set[str] = field(default_factory=set)
    asked_to_revoke: set[str] = field(default_factory=set)


def work(live: Live, done: Acknowledged, stop: threading.Event, source: random.Random) -> None:
    """Mint and revoke until told to stop or the server is gone."""
    with httpx.Client(base_url=live.url, headers={"authorization": f"Bearer {live.first}"}, trust_env=False) as http:
        while not stop.is_set():
            try:
                made = http.post("/v1/restricted_keys", json={"name": f"r{source.random()}"})
                if made.status_code != 200:
                    continue
                reply = made.json()
                done.minted[reply["id"]] = reply["key_secret"]
                if source.random() < 0.5:
                    done.asked_to_revoke.add(reply["id"])
                    if http.post(f"/v1/restricted_keys/{reply['id']}/revoke").status_code == 200:
                        done.revoked.add(reply["id"])
            except httpx.HTTPError:
                return


def test_nothing_acknowledged_is_lost_and_nothing_is_half_there(new_directory: Callable[[], Path]) -> None:
    source = random.Random(20261123)  # noqa: S311  (moments, not secrets)
    done = Acknowledged()
    live = Live(new_directory())
    kills = 0
    while kills < KILLS or len(done.minted) + len(done.revoked) < ROUNDS:
        live.start()
        stop = threading.Event()
        workers = [threading.Thread(target=work, args=(live, done, stop, source)) for _ in range(2)]
        for worker in workers:
            worker.start()
        time.sleep(source.uniform(0.02, 0.4))
        live.kill()
        kills += 1
        stop.set()
        for worker in workers:
            worker.join(10)
        assert kills < 100
    with live:
        check_states(live, done)
    check_file(live.database, done)


def check_states(live: Live, done: Acknowledged) -> None:
    """Every acknowledged key answers as it was left."""
    assert len(done.minted) + len(done.revoked) >= ROUNDS
    for key_id, secret in done.minted.items():
        status = live.call("GET", "/keyscope/me", secret).status_code
        if key_id in done.revoked:
            assert status == 401
        elif key_id not in done.asked_to_revoke:
            assert status == 200


def check_file(database: Path, done: Acknowledged) -> None:
    """The file is sound, and each key has its one event of minting, each revoked key its one of revoking."""
    with sqlite3.connect(database) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        keys = dict(connection.execute("SELECT id, revoked_at_ms FROM keys").fetchall())
        events = connection.execute("SELECT kind, key_id FROM events").fetchall()
    assert set(done.minted) <= set(keys)
    minted = [key_id for kind, key_id in events if kind == "key.minted"]
    revoked = [key_id for kind, key_id in events if kind == "key.revoked"]
    assert sorted(minted) == sorted(keys)
    assert sorted(revoked) == sorted(key_id for key_id, at_ms in keys.items() if at_ms is not None)
    connection.close()
