"""Keyscope in front of an API, by each gate, beside the same proxy when it asks nobody.

Gate and Keyscope stand on one core; wrk and the upstream (nginx with 1 KiB of JSON) share the other. 100,000 keys, 64
of them in turn, 32 connections; nothing is cached between requests. All are up at once and take turns. The core of the
load is full too when a gate is fast, so the ratio is also given per processor second of the gate with all that it asks:
what it would be if the core of the servers were the only limit.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import gates, nginx
from bench.gates import Around, Gate, Served
from bench.load import Load, key_file, require_wrk, wrk
from bench.measure import interleaved, ratios
from bench.processes import cpu_s, free_port, keyscope
from bench.report import Missing, Row, known, left_out

NAME = "proxies"
KEY_COUNT = 100_000
PATH = "/v1/devboxes/dbx_30xQ2cP9bYyh1"
PER_CPU = "per processor second"


class Found(NamedTuple):
    """By gate, one value a round."""

    per_s: dict[str, list[float]]
    cpu_us: dict[str, list[float]]
    """Processor time per request."""
    alone_us: dict[str, list[float]]
    """p50 with one connection."""


def run(quick: bool) -> list[Row]:
    require_wrk()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        with _around(place) as around, contextlib.ExitStack() as stack:
            there, absent = started((*gates.PLAIN, *gates.GATES), around, stack)
            ask = partial(wrk, path=PATH, keys_in=key_file(place))
            found = measured(ask, there, *((2, 1) if quick else (7, 3)))
        compared = [gate for gate in gates.GATES if gate.name in there and gate.ceiling in there]
        return [*_plain_rows(found, there), *(row for gate in compared for row in gate_rows(gate, found)), *absent]


@contextlib.contextmanager
def _around(place: Path) -> Iterator[Around]:
    asked_place = place / "asked"
    asked_place.mkdir()
    grpc_port = free_port()
    options = ["--envoy-grpc", f"127.0.0.1:{grpc_port}"]
    with nginx.answering(place) as upstream, keyscope(asked_place, key_count=KEY_COUNT, options=options) as asked:
        yield Around(place, upstream.url, asked, KEY_COUNT, grpc_port)


def started(wanted: Sequence[Gate], around: Around, stack: contextlib.ExitStack) -> tuple[dict[str, Served], list[Row]]:
    """The gates that can be had, running; and a row for each of the others."""
    there: dict[str, Served] = {}
    absent: list[Row] = []
    for gate in wanted:
        try:
            there[gate.name] = stack.enter_context(gate.start(around))
        except Missing as error:
            absent.append(left_out(gate.name, error))
    return there, absent


def measured(ask: partial[Load], there: dict[str, Served], rounds: int, seconds: int) -> Found:
    """Throughput and processor time in rounds, then the latency of one connection in rounds."""
    cpu_us: dict[str, list[float]] = {name: [] for name in there}

    def many(name: str) -> float:
        load, spent_s = with_cpu(ask, there[name], seconds)
        cpu_us[name].append(spent_s / load.requests * 1e6)
        return load.per_s

    def alone(name: str) -> float:
        return ask(there[name].url, connections=1, seconds=1).p50_ms * 1000

    for served in there.values():
        ask(served.url, seconds=1)
    per_s = interleaved({name: partial(many, name) for name in there}, rounds)
    return Found(per_s, cpu_us, interleaved({name: partial(alone, name) for name in there}, rounds))


def with_cpu(ask: partial[Load], served: Served, seconds: int) -> tuple[Load, float]:
    """A run of load, and the processor time that the gate took for it."""
    before = sum(map(cpu_s, served.pids))
    load = ask(served.url, seconds=seconds)
    return load, sum(map(cpu_s, served.pids)) - before


def gate_rows(gate: Gate, found: Found) -> list[Row]:
    name, ceiling = gate.name, gate.ceiling
    added = median(mine - theirs for mine, theirs in zip(found.alone_us[name], found.alone_us[ceiling], strict=True))
    return [
        Row(f"{name}, requests per second", median(found.per_s[name]), "/s", known()),
        Row(f"{name} ÷ {ceiling}", ratios(found.per_s, name, ceiling), "times", gate.target),
        Row(f"{name} ÷ {ceiling}, {PER_CPU}", ratios(found.cpu_us, ceiling, name), "times", known()),
        Row(f"{name}, added to {ceiling}, one connection, p50", added, "µs", known()),
    ]


def _plain_rows(found: Found, there: dict[str, Served]) -> list[Row]:
    names = [gate.name for gate in gates.PLAIN if gate.name in there]
    nginx_name = gates.PLAIN_NGINX.name
    rows = [Row(f"{name}, requests per second", median(found.per_s[name]), "/s", known()) for name in names]
    others = [name for name in names if name != nginx_name and nginx_name in there]
    return rows + [Row(f"{n} ÷ {nginx_name}", ratios(found.per_s, n, nginx_name), "times", known()) for n in others]
