"""The figures that the model stands on, each with where it is from: a test, or a row of the bench's results."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple

RESULTS = sorted((Path(__file__).parents[1] / "results").rglob("results.json"))
A_MILLION = 1_000_000

HELD = "tests/operate/test_scale.py"
"""The test that measures a figure anew, in every run of the suite."""


class Figure(NamedTuple):
    """A number, its unit, and where it is from."""

    name: str
    value: float
    unit: str
    source: str


def figures() -> dict[str, Figure]:
    """By a short name."""
    return {
        "key_bytes": Figure("a key in the file of a node's copy", 415, "bytes", HELD),
        "change_bytes": Figure("a change on its way to a node", 415, "bytes", HELD),
        "memory_bytes": measured(
            "a key in the memory of the HAProxy engine", "haproxy", "1,000,000 keys: memory per key"
        ),
        "revokes": measured("durable revocations of one record", "life", "durable revocations, 32 callers at once"),
        "commit_ms": _commit(),
        "stream_ms": _per_stream(),
        "judged": measured(
            "calls that one core of the engine judges",
            "haproxy",
            "100,000 keys, 64 in play on one path: requests per second",
        ),
        "applied_p50": measured("commit to applied at a node, p50", "nodes", "commit until the replica has it, p50"),
        "applied_p99": measured("commit to applied at a node, p99", "nodes", "commit until the replica has it, p99"),
        "three_p50": measured("receipt of three nodes, p50", "nodes", "receipt of three nodes, p50"),
        "three_p99": measured("receipt of three nodes, p99", "nodes", "receipt of three nodes, p99"),
        "snapshot": _snapshot(),
        "applied_rate": measured(
            "changes that a node applies", "nodes", "changes that a replica takes up while they are made"
        ),
    }


def measured(name: str, part: str, what: str) -> Figure:
    """A row of the bench's results. Raises KeyError if there is none: then the model has lost its ground."""
    value, unit = _rows()[part, what]
    return Figure(name, value, unit, f"bench, `{part}`")


def _snapshot() -> Figure:
    """Keys a second, of the time that a million take."""
    whole = measured("keys from the record into a new copy", "nodes", f"snapshot of {A_MILLION:,} keys to a new node")
    return whole._replace(value=A_MILLION / whole.value, unit="/s")


def _commit() -> Figure:
    """What comes before anything is on its way to a gate."""
    alone = measured("a change alone, with its commit", "record", "a mint alone, PostgreSQL")
    return alone._replace(value=alone.value / 1000, unit="ms")


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
