"""What nodes do without Valkey, and without PostgreSQL's whole host."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import psycopg

from tests.hosts.network import Network
from tests.nodes.cluster import Cluster
from tests.nodes.team import Member, Team, wait
from tests.nodes.traffic import minted, traffic

AWAY_S = 14.0
"""Longer than anybody may wait for PostgreSQL."""


def without_counters(network: Network, team: Team) -> dict[str, Any]:
    """The last node cannot reach Valkey. Says what a key whose use is limited, and another, hear of whom."""
    cut, other = team[2], team[0]
    limited = team[0].mint("devboxes:read", restrictions={"uses": 1000})["key_secret"]
    free = team[0].mint("devboxes:read")["key_secret"]
    for member in team.members:
        wait(lambda member=member: member.may(free) == 200 == member.may(limited), "known")  # type: ignore[misc]
    network["valkey"].refuses(f"ip saddr {network[cut.name].data.address} drop")
    began_s = time.perf_counter()
    first = cut.may(limited)
    heard_s = time.perf_counter() - began_s
    heard = {
        "limited": [first, cut.may(limited)],
        "limited elsewhere": other.may(limited),
        "others": [cut.may(free), other.may(free)],
        "heard_s": heard_s,
    }
    network["valkey"].takes_all()
    return {**heard, "recovered_s": wait(lambda: cut.may(limited) == 200, "it counts again")}


def without_record(network: Network, team: Team) -> dict[str, Any]:
    """The cable of PostgreSQL's host is pulled, while changes are asked of every node. Times in seconds."""
    keys = minted(team[0], 6)
    wait(lambda: all(member.may(keys[-1].secret) == 200 for member in team.members), "the keys are known")
    with traffic(team, keys) as asking, _changes(team.members) as tried:
        team.revoke(keys[0].id)
        asking.took(keys[0])
        network["pg"].pull()
        pulled_s = time.perf_counter()
        let_go_s = wait(lambda: not _connections(team.cluster), "PostgreSQL has let go of the nodes", AWAY_S + 10)
        time.sleep(max(0.0, AWAY_S - let_go_s))
        back_s = time.perf_counter()
        network["pg"].put_back()
        for member in team.members:
            member.wait_ready()
        recovered_s = time.perf_counter() - back_s
        wait(lambda: team[0].revoke(keys[1].id).status_code == 200, "it can be written to")
        asking.took(keys[1])
    accepted = [asked.sent_s for asked in asking.asked if asked.status == 200 and pulled_s < asked.sent_s < back_s]
    return {
        "wrongly": len(asking.wrongly_accepted()),
        "closed_s": max(accepted, default=pulled_s) - pulled_s,
        "recovered_s": recovered_s,
        "let_go_s": let_go_s,
        "statuses": sorted({status for _, status in tried}),
        "slowest_s": max(took_s for took_s, _ in tried),
    }


@contextlib.contextmanager
def _changes(members: list[Member]) -> Iterator[list[tuple[float, int]]]:
    """Keys are minted at every node, one after the other. How long each took, and what came of it."""
    ends, tried = threading.Event(), list[tuple[float, int]]()

    def change(member: Member) -> None:
        with httpx.Client(base_url=member.url, timeout=60, trust_env=False) as http:
            while not ends.wait(0.02):
                began_s = time.perf_counter()
                reply = http.post("/v1/restricted_keys", headers={"authorization": f"Bearer {member.first}"}, json={})
                tried.append((time.perf_counter() - began_s, reply.status_code))

    threads = [threading.Thread(target=change, args=(member,), daemon=True) for member in members]
    for thread in threads:
        thread.start()
    try:
        yield tried
    finally:
        ends.set()
        for thread in threads:
            thread.join(60)


def _connections(cluster: Cluster) -> int:
    """How many PostgreSQL has with other hosts. It is asked on its own host, by its Unix socket."""
    here = psycopg.connect(host=str(cluster.folder), port=cluster.port, user="postgres", autocommit=True)
    with contextlib.closing(here):
        row = here.execute("SELECT count(*) FROM pg_stat_activity WHERE client_addr IS NOT NULL").fetchone()
        assert row is not None
        return int(row[0])
