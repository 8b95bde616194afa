"""Keyscope's engine in HAProxy, beside plain HAProxy: `keyscope serve --engine haproxy`, all on one core.

*64 keys*: of 100,000, in turn, one path. *20,000 keys*: of 1,000,000, in turn, on 40,000 distinct paths, so that no
cache of a few thousand patterns helps; plain HAProxy gets the same requests. Revocation is timed from outside, over
the port of the engine: the answer to a revocation comes after its commit, so what follows the answer is what a holder
of the key still could have had. The calls read logs, which HAProxy judges for every key: what could hold a credential
(`GET /v1/devboxes/{id}`) it leaves to Keyscope for keys that may only read. Memory is what all processes hold beyond
pages of files (RssAnon).
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench import gates, keys, nginx, revocation
from bench.connection import connected, until_allowed
from bench.gates import PLAIN_HAPROXY, Around, Gate, Served
from bench.load import Load, key_file, require_wrk, wrk
from bench.measure import ratios
from bench.processes import SERVER_CORE, Running, anonymous_mib, cpu_s, free_port, pinned
from bench.proxies import PER_CPU, Found, measured, started
from bench.report import Row, Target, at_least, at_most, known

NAME = "haproxy"
_PATH = "/v1/devboxes/dbx_30xQ2cP9bYyh1/logs"
_REFUSED = "/v1/devboxes/dbx_30xQ2cP9bYyh1/suspend"
"""HAProxy refuses it by itself. A shutdown it leaves to Keyscope, which ends the keys of that devbox."""
_MANY_PATHS = "/v1/devboxes/dbx_30xQ2cP{n}/logs"
_PATHS = 40_000
_START_S = 120
_OF_HAPROXY = b"Ask what would allow it, with this key"
_ENGINE = Gate("Keyscope's engine", gates.engine, PLAIN_HAPROXY.name)


def run(quick: bool) -> list[Row]:
    require_wrk()
    gates.require_engine()
    many = 100_000 if quick else 1_000_000
    rounds, seconds, cycles = (2, 1, 50) if quick else (7, 3, 1_000)
    return [
        *_load(100_000, 64, 1, rounds, seconds, at_least(0.75)),
        *_load(many, 20_000, _PATHS, rounds, seconds, at_least(0.6)),
        *_life(many, cycles),
        *_start(many, 2 if quick else 5),
    ]


def _load(key_count: int, in_play: int, paths: int, rounds: int, seconds: int, target: Target) -> list[Row]:
    path = _PATH if paths == 1 else _MANY_PATHS
    with (
        tempfile.TemporaryDirectory() as name,
        _around(Path(name), key_count) as around,
        contextlib.ExitStack() as stack,
    ):
        there, _ = started((PLAIN_HAPROXY, _ENGINE), around, stack)
        ask: partial[Load] = partial(wrk, path=path, keys_in=key_file(Path(name), in_play), paths=paths)
        found = measured(ask, there, rounds, seconds)
        outside = _outside(ask, there[_ENGINE.name], seconds)
    what = f"{key_count:,} keys, {in_play:,} in play on {'one path' if paths == 1 else f'{paths:,} paths'}"
    share = Row(f"{what}: of the engine's processor time, outside HAProxy", outside, "%", known())
    return [*_rows(what, found, target, paths == 1), share]


def _outside(ask: partial[Load], served: Served, seconds: int) -> float:
    """The percentage that Keyscope's own processes take while HAProxy judges."""
    [pid] = served.pids
    own, everything = cpu_s(pid, but="haproxy"), cpu_s(pid)
    ask(served.url, seconds=seconds)
    return 100 * (cpu_s(pid, but="haproxy") - own) / (cpu_s(pid) - everything)


def _rows(what: str, found: Found, target: Target, alone: bool) -> list[Row]:
    mine, plain = _ENGINE.name, PLAIN_HAPROXY.name
    added = median(a - b for a, b in zip(found.alone_us[mine], found.alone_us[plain], strict=True))
    return [
        Row(f"{what}: requests per second", median(found.per_s[mine]), "/s", known()),
        Row(f"{what}: {plain}, requests per second", median(found.per_s[plain]), "/s", known()),
        Row(f"{what}: engine ÷ {plain}", ratios(found.per_s, mine, plain), "times", target),
        Row(f"{what}: engine ÷ {plain}, {PER_CPU}", ratios(found.cpu_us, plain, mine), "times", known()),
        Row(f"{what}: added to {plain}, one connection, p50", added, "µs", at_most(10) if alone else known()),
    ]


def _life(key_count: int, cycles: int) -> list[Row]:
    with (
        tempfile.TemporaryDirectory() as name,
        _around(Path(name), key_count) as around,
        gates.engine(around) as served,
    ):
        found = revocation.cycles(served.url, _PATH, cycles)
    rows = revocation.rows(found, refused_bound_ms=1)
    return [Row(f"{key_count:,} keys: {row.what}", row.value, row.unit, row.target) for row in rows]


def _start(key_count: int, starts: int) -> list[Row]:
    """Each time on the same database; the memory of so many keys is what they add to that of 1,000."""
    few = _started(1_000, 1)
    many = _started(key_count, starts)
    each = (many.memory_mib - few.memory_mib) * (1 << 20) / (key_count - 1_000)
    return [
        Row(f"{key_count:,} keys: start to the first judged request", many.judged_s, "s", at_most(5)),
        Row(f"{key_count:,} keys: start to the first that HAProxy judges alone", many.alone_s, "s", known()),
        Row(f"{key_count:,} keys: memory of all processes", many.memory_mib, "MiB", known()),
        Row(f"{key_count:,} keys: memory per key", each, "bytes", known()),
    ]


class _Start(NamedTuple):
    judged_s: float
    alone_s: float
    memory_mib: float


def _started(key_count: int, starts: int) -> _Start:
    """Medians."""
    with tempfile.TemporaryDirectory() as name, nginx.answering(Path(name)) as upstream:
        database = keys.a_copy(key_count, Path(name))
        keys.warm(database)
        found = [_start_once(database, upstream.url, key_count) for _ in range(starts)]
    return _Start(*map(median, zip(*found, strict=True)))


def _start_once(database: Path, upstream: str, key_count: int) -> _Start:
    port = free_port()
    url, key = f"http://127.0.0.1:{port}", keys.secret(key_count).reveal()
    began = time.monotonic()
    command = pinned(SERVER_CORE, gates.engine_command(database, port, upstream))
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env=gates.engine_environment())
    try:
        until_allowed(url, _PATH, key, _START_S)
        judged = time.monotonic() - began
        _until_alone(url, key)
        return _Start(judged, time.monotonic() - began, anonymous_mib(process.pid))
    finally:
        process.terminate()
        process.wait(_START_S)


def _until_alone(url: str, key: str) -> None:
    """Until a refusal is HAProxy's own. Its words are the same for every call."""
    end = time.monotonic() + _START_S
    with connected(url) as one:
        while _OF_HAPROXY not in one.ask("POST", _REFUSED, key).body:
            if time.monotonic() > end:
                raise RuntimeError(f"HAProxy did not judge alone in {_START_S} s")
            time.sleep(0.01)


@contextlib.contextmanager
def _around(place: Path, key_count: int) -> Iterator[Around]:
    """The engine asks no other Keyscope."""
    with nginx.answering(place) as upstream:
        yield Around(place, upstream.url, Running(0, ""), key_count)
