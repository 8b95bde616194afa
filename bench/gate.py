"""The gate: a call through Keyscope to an upstream, beside the same call without it and through a plain nginx proxy.

The gate and nginx run on one core; wrk and the upstream (nginx with 1 KiB of JSON) share the other. The latency is that
of one connection, the throughput that of 32, with 64 keys in turn. Large bodies and event streams go to a small Python
upstream; memory is that of Keyscope's process: for a body the most that it had during it (VmHWM) above what it had
before, and for the streams what it holds while all are open.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from statistics import median

from bench import bodies, nginx, streams
from bench.load import Load, key_file, require_wrk, wrk
from bench.measure import interleaved
from bench.processes import LOAD_CORE, free_port, keyscope, program, running
from bench.report import Row, at_most, known

NAME = "gate"
_KEY_COUNT = 10_000
_PATH = "/v1/devboxes/dbx_30xQ2cP9bYyh1"
_DIRECT, _GATE, _NGINX = "direct", "gate", "nginx"


def run(quick: bool) -> list[Row]:
    require_wrk()
    return [*_calls(quick), *_large(quick)]


def _calls(quick: bool) -> list[Row]:
    rounds, seconds = (2, 1) if quick else (7, 3)
    with (
        tempfile.TemporaryDirectory() as name,
        nginx.answering(Path(name)) as upstream,
        keyscope(Path(name), key_count=_KEY_COUNT, upstream=upstream.url) as gate,
        nginx.proxying(Path(name), upstream.url) as proxy,
    ):
        urls = {_DIRECT: upstream.url, _GATE: gate.url, _NGINX: proxy.url}
        ask = partial(wrk, path=_PATH, keys_in=key_file(Path(name)))
        alone = interleaved({n: partial(_p50_ms, ask, u, seconds) for n, u in urls.items()}, rounds)
        many = interleaved({n: partial(_per_s, ask, u, seconds) for n, u in urls.items()}, rounds)
    return _latencies(alone) + _rates(many)


def _p50_ms(ask: partial[Load], url: str, seconds: int) -> float:
    return ask(url, connections=1, seconds=seconds).p50_ms


def _per_s(ask: partial[Load], url: str, seconds: int) -> float:
    return ask(url, seconds=seconds).per_s


def _latencies(found: dict[str, list[float]]) -> list[Row]:
    added = {
        name: median(through - straight for through, straight in zip(found[name], found[_DIRECT], strict=True))
        for name in (_GATE, _NGINX)
    }
    return [
        Row("one connection, p50, straight to the upstream", median(found[_DIRECT]), "ms", known()),
        Row("added by the gate, p50", added[_GATE], "ms", at_most(0.6)),
        Row("added by a plain nginx proxy, p50", added[_NGINX], "ms", known()),
    ]


def _rates(found: dict[str, list[float]]) -> list[Row]:
    ratio = median(gate / proxy for gate, proxy in zip(found[_GATE], found[_NGINX], strict=True))
    return [
        Row("through the gate, 32 connections", median(found[_GATE]), "/s", known()),
        Row("through a plain nginx proxy, 32 connections", median(found[_NGINX]), "/s", known()),
        Row("gate ÷ plain nginx proxy", ratio, "times", known()),
    ]


def _large(quick: bool) -> list[Row]:
    size = 1 << (26 if quick else 30)
    port = free_port()
    with (
        tempfile.TemporaryDirectory() as name,
        running(program("upstream", str(port)), port, Path(name) / "upstream.log", core=LOAD_CORE) as upstream,
        keyscope(Path(name), key_count=_KEY_COUNT, upstream=upstream.url) as gate,
    ):
        return bodies.measure(gate, size) + streams.measure(gate)
