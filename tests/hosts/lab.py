"""Three nodes, PostgreSQL and Valkey, each on a host of its own. A program: it reads questions, a line each, and
answers with a line of JSON.

It is started in a network of its own (``conftest``), where it makes the hosts, and starts all of them first.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.hosts.away import without_counters, without_record
from tests.hosts.faults import NETWORK_FAULTS
from tests.hosts.network import Network
from tests.hosts.storm import weathered
from tests.nodes.cluster import running
from tests.nodes.faults import befall
from tests.nodes.team import Member, Team, started
from tests.valkey import Valkey

LEASE_S = 1.0


class Site(NamedTuple):
    """The hosts, and the nodes on three of them."""

    network: Network
    team: Team


@contextlib.contextmanager
def site(directory: Path) -> Iterator[Site]:
    network = Network()
    pg, counts, *hosts = (network.add(name) for name in ("pg", "valkey", "a", "b", "c"))
    (directory / "valkey").mkdir()
    with running(pg.data) as cluster, Valkey(directory / "valkey", counts.data) as valkey:
        members: list[Member] = []
        for host in hosts:
            listens = ["--host", host.load.address, "--forward-auth-peers", "198.51.100.0/24"]
            member = Member(
                directory / host.name,
                host.name,
                cluster.url(),
                members[0].first if members else "",
                staleness_s=LEASE_S,
                options=[*listens, "--counters", valkey.url],
                place=host.load,
            )
            members.append(member)
        with started(cluster, members) as team:
            yield Site(network, team)


def befallen(site: Site, name: str) -> dict[str, Any]:
    [fault] = [fault for fault in NETWORK_FAULTS if fault.name == name]
    return befall(site.team, fault.of(site.network), lasts_s=LEASE_S + 0.5)._asdict()


QUESTIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "befall": befallen,
    "without_counters": lambda site: without_counters(site.network, site.team),
    "without_record": lambda site: without_record(site.network, site.team),
    "weathered": lambda site, seed, lasts_s: weathered(site.network, site.team, seed, lasts_s),
}


def main(directory: Path) -> None:
    with site(directory) as made:
        for line in sys.stdin:
            try:
                question, *about = json.loads(line)
                said = QUESTIONS[question](made, *about)
            except Exception:
                said = {"failed": traceback.format_exc()}
            print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
