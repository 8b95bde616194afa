"""The figures that the model stands on, each with where it is from. What is measured is read from the bench's results.

A figure of nodes is read from the part ``nodes`` of ``bench/results``; as long as no full run has it, the target stands
in its place, and the table says so.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

RESULTS = sorted((Path(__file__).parents[1] / "results").rglob("results.json"))
NODES = "nodes"
A_MILLION = 1_000_000

HELD = "tests/operate/test_scale.py"
"""The test that measures a figure anew, in every run of the suite."""


class Figure(NamedTuple):
    """A number, its unit, and where it is from."""

    name: str
    value: float
    unit: str
    source: str

    @property
    def is_measured(self) -> bool:
        return not self.source.startswith(("target", "assumed"))


def figures() -> dict[str, Figure]:
    """By a short name."""
    return {
        "key_bytes": Figure("a key in the file of a node's copy", 415, "bytes", HELD),
        "change_bytes": Figure("a change on its way to a node", 415, "bytes", HELD),
        "memory_bytes": measured(
            "a key in the memory of the HAProxy engine", "haproxy", "1,000,000 keys: memory per key"
        ),
        "revokes": measured("durable revocations of one record", "life", "durable revocations, 32 callers at once"),
        "stream_ms": _per_stream(),
        "judged": measured(
            "calls that one core of the engine judges",
            "haproxy",
            "100,000 keys, 64 in play on one path: requests per second",
        ),
        "applied_p50": of_nodes("commit to applied at a node, p50", 3, "ms", "commit until the replica has it, p50"),
        "applied_p99": of_nodes("commit to applied at a node, p99", 10, "ms", "commit until the replica has it, p99"),
        "three_p50": of_nodes("receipt of three nodes, p50", 10, "ms", "receipt of three nodes under that load, p50"),
        "three_p99": of_nodes("receipt of three nodes, p99", 50, "ms", "receipt of three nodes under that load, p99"),
        "snapshot": _snapshot(),
        "applied_rate": of_nodes(
            "changes that a node applies", 2_000, "/s", "changes that a replica takes up while they are made"
        ),
    }


def measured(name: str, part: str, what: str) -> Figure:
    """A row of the bench's results. Raises KeyError if there is none: then the model has lost its ground."""
    value, unit = _rows()[part, what]
    return Figure(name, value, unit, f"bench, `{part}`")


def of_nodes(name: str, target: float, unit: str, what: str) -> Figure:
    """A row of the part ``nodes``, or the target that it is to meet."""
    if (NODES, what) in _rows():
        return measured(name, NODES, what)
    return Figure(name, target, unit, "target, not measured yet")


def _snapshot() -> Figure:
    """Keys a second, of the time that a million take; the target is 20 s."""
    whole = of_nodes("keys from the record into a new copy", 20, "s", f"snapshot of {A_MILLION:,} keys to a new node")
    return whole._replace(value=A_MILLION / whole.value, unit="/s")


def _per_stream() -> Figure:
    """How much longer the last of many streams waits for each that is served before it."""
    name = "until one more stream of a process has an event"
    last = measured(name, "gate", "until the last stream has heard the event")
    many = measured("", "gate", "event streams open at once, each of which heard the event")
    return last._replace(value=last.value / many.value, unit="ms")


@cache
def _rows() -> dict[tuple[str, str], tuple[float, str]]:
    found: dict[tuple[str, str], tuple[float, str]] = {}
    for file in RESULTS:
        for part in json.loads(file.read_text())["parts"]:
            found |= {(part["name"], row["what"]): (row["value"], row["unit"]) for row in part["rows"]}
    return found
