"""Forward-auth over HTTP, 100,000 keys: what nginx's auth_request asks for each request.

The server runs on one core and wrk on another, with 32 connections and 64 keys in turn. The ceiling is the same server
with the same settings and a constant answer. The peer is better-auth's API-key plugin behind node:http, once with its
keys in a Map (its secondary storage) and once in SQLite; it only verifies, where Keyscope also authorises.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median

from bench import better_auth
from bench.load import Load, key_file, require_wrk, wrk
from bench.measure import interleaved, ratios
from bench.processes import Running, cpu_s, free_port, keyscope, program, running
from bench.report import Row, at_least, known

NAME = "authorize"
KEY_COUNT = 100_000
_ASKED = ("X-Original-URI: /v1/devboxes/dbx_30xQ2cP9bYyh1", "X-Original-Method: GET")
_OURS = "Keyscope"
_CEILING = "the same server with a constant answer"
_PEERS = {
    "map": f"better-auth {better_auth.VERSION}, keys in a Map",
    "sqlite": f"better-auth {better_auth.VERSION}, keys in SQLite",
}

Ask = Callable[..., Load]


def run(quick: bool) -> list[Row]:
    require_wrk()
    rounds, seconds = (2, 1) if quick else (7, 3)
    with tempfile.TemporaryDirectory() as name, _servers(Path(name)) as servers:
        ask = partial(wrk, path="/keyscope/authorize/nginx", keys_in=key_file(Path(name)), headers=_ASKED)
        for server in servers.values():
            ask(server.url, seconds=1)
        spent: dict[str, list[float]] = {one: [] for one in servers}
        measures = {one: partial(_per_s, ask, server, seconds, spent[one]) for one, server in servers.items()}
        found = interleaved(measures, rounds)
        alone = ask(servers[_OURS].url, connections=1, seconds=seconds)
    return [*_rows(found), *_costs(spent), Row("Keyscope, one connection, p50", alone.p50_ms * 1000, "µs", known())]


def _per_s(ask: Ask, server: Running, seconds: int, spent_us: list[float]) -> float:
    """Requests a second; notes the server's processor time for each, which a busy neighbour disturbs less."""
    before = cpu_s(server.pid)
    load = ask(server.url, seconds=seconds)
    spent_us.append((cpu_s(server.pid) - before) / load.requests * 1e6)
    return load.per_s


@contextlib.contextmanager
def _servers(directory: Path) -> Iterator[dict[str, Running]]:
    """All at once, so that rounds can alternate; only one of them has work at a time."""
    with contextlib.ExitStack() as stack:
        servers = {_OURS: keyscope(directory, key_count=KEY_COUNT), _CEILING: _constant(directory)}
        servers |= {name: better_auth.serving(mode, directory, KEY_COUNT) for mode, name in _PEERS.items()}
        yield {name: stack.enter_context(server) for name, server in servers.items()}


def _constant(directory: Path) -> contextlib.AbstractContextManager[Running]:
    port = free_port()
    return running(program("constant", str(port)), port, directory / "constant.log")


def _costs(spent_us: dict[str, list[float]]) -> list[Row]:
    us = {name: median(values) for name, values in spent_us.items()}
    rows = [Row(f"{name}, processor time per request", value, "µs", known()) for name, value in us.items()]
    return rows + [
        Row(f"{name} ÷ Keyscope in processor time", value / us[_OURS], "times", known())
        for name, value in us.items()
        if name != _OURS
    ]


def _rows(found: dict[str, list[float]]) -> list[Row]:
    rates = [Row(f"{name}, requests per second", median(values), "/s", known()) for name, values in found.items()]
    beside = [Row("Keyscope ÷ its ceiling", ratios(found, _OURS, _CEILING), "times", at_least(0.8))]
    beside += [Row(f"Keyscope ÷ {name}", ratios(found, _OURS, name), "times", at_least(8)) for name in _PEERS.values()]
    return rates + beside
