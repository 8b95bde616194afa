"""Arithmetic: what a number of gates asks of the record, of the network and of each gate's machine."""

from __future__ import annotations

from typing import NamedTuple

from bench.worldwide.figures import Figure

BEATS_PER_LEASE = 4
POLLS_PER_S = 10
CONNECTIONS = 5
"""Of one node to the record: beats, reading, acknowledging, listening, looking at the others (store/replica)."""


class World(NamedTuple):
    """What is to be served. ``rtts_ms`` are the round trips from the home of the record to each region."""

    rtts_ms: tuple[float, ...]
    gates: int
    keys: int
    shards: int
    changes_per_s: float
    lease_s: float = 5.0

    @property
    def gates_per_region(self) -> int:
        return self.gates // len(self.rtts_ms)


ASSUMED_RTTS_MS = (1, 15, 25, 35, 60, 65, 70, 80, 90, 95, 110, 120, 140, 150, 165, 180, 200, 210, 230, 250)
"""Twenty regions around the world, from one in the same city to one on the other side."""

WORLDWIDE = World(ASSUMED_RTTS_MS, gates=1_000, keys=100_000_000, shards=10, changes_per_s=5_000)


class Load(NamedTuple):
    """One line of the table."""

    what: str
    direct: float | None
    relayed: float | None
    unit: str


def loads(world: World, known: dict[str, Figure]) -> list[Load]:
    """What one record carries if each gate follows it directly, and if a relay in each region does."""
    regions, lease = len(world.rtts_ms), world.lease_s
    per_shard = world.changes_per_s / world.shards
    change = known["change_bytes"].value
    return [
        Load("connections to one record", world.gates * CONNECTIONS, regions * CONNECTIONS, ""),
        Load("questions for changes, each second", world.gates * POLLS_PER_S, regions * POLLS_PER_S, "/s"),
        Load("beats that are committed, each second", world.gates * BEATS_PER_LEASE / lease,
             regions * BEATS_PER_LEASE / lease, "/s"),
        Load("acknowledgements of a change", world.gates, regions, ""),
        Load("changes of one shard leave its home at", world.gates * per_shard * change / 1e6,
             regions * per_shard * change / 1e6, "MB/s"),
        Load("changes of all shards reach one region at", None, world.changes_per_s * change / 1e6, "MB/s"),
    ]  # fmt: skip


def of_gates(world: World, known: dict[str, Figure]) -> list[Load]:
    """What one gate's machine needs that holds all keys, and one that holds those of one shard."""
    mine = world.keys / world.shards
    disk, memory = known["key_bytes"].value, known["memory_bytes"].value
    snapshot = known["snapshot"].value
    return [
        Load("disk for the copy", world.keys * disk / 1e9, mine * disk / 1e9, "GB"),
        Load("memory of the HAProxy engine", world.keys * memory / 1e9, mine * memory / 1e9, "GB"),
        Load("first copy from the record", world.keys / snapshot / 60, mine / snapshot / 60, "min"),
        Load("of what it can apply, used by the changes", 100 * world.changes_per_s / known["applied_rate"].value,
             100 * world.changes_per_s / world.shards / known["applied_rate"].value, "%"),
    ]  # fmt: skip


def most_direct_gates(known: dict[str, Figure], lease_s: float = 5.0, share: float = 0.1) -> int:
    """How many gates may follow one record directly, if their beats may take this share of its commits."""
    return int(share * known["revokes"].value * lease_s / BEATS_PER_LEASE)
