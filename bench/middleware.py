"""Keyscope inside an ASGI application, beside the same application without it.

The application answers 1 KiB of JSON and does nothing else, so what the middleware costs shows most. A middleware that
only calls the application says what any would cost. 100,000 keys, 64 of them in turn, 32 connections; each server, of
one process, stands on one core and wrk on the other.
"""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import median

from bench import keys
from bench.gates import Served
from bench.load import key_file, require_wrk, wrk
from bench.measure import ratios
from bench.processes import free_port, running
from bench.proxies import PER_CPU, Found, measured
from bench.report import Missing, Row, at_least, known

NAME = "middleware"
_KEY_COUNT = 100_000
_KINDS = ("bare", "wrapped", "guarded")
_PATH = "/v1/devboxes/dbx_30xQ2cP9bYyh1"
_SERVERS = {
    "uvicorn": ("--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"),
    "granian": ("--interface", "asgi", "--workers", "1", "--loop", "uvloop", "--no-access-log"),
}


def run(quick: bool) -> list[Row]:
    require_wrk()
    if importlib.util.find_spec("keyscope.asgi") is None:
        raise Missing("this Keyscope has no middleware")
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        database = keys.a_copy(_KEY_COUNT, Path(name))
        there = {
            f"{server}, {kind}": stack.enter_context(_serving(server, kind, database, Path(name)))
            for server in _SERVERS
            for kind in _KINDS
        }
        ask = partial(wrk, path=_PATH, keys_in=key_file(Path(name)))
        found = measured(ask, there, *((2, 1) if quick else (7, 3)))
    return [row for server in _SERVERS for row in _rows(server, found)]


@contextlib.contextmanager
def _serving(server: str, kind: str, database: Path, place: Path) -> Iterator[Served]:
    port = free_port()
    where = ["--host", "127.0.0.1", "--port", str(port)]
    command = [sys.executable, "-m", server, f"bench.programs.application:{kind}", *where, *_SERVERS[server]]
    environment = {"KEYSCOPE_DATABASE": f"sqlite:///{database}"}
    with running(command, port, place / f"{server}-{kind}.log", environment=environment) as running_server:
        yield Served(running_server.url, (running_server.pid,))


def _rows(server: str, found: Found) -> list[Row]:
    bare, wrapped, guarded = (f"{server}, {kind}" for kind in _KINDS)
    added = median(mine - theirs for mine, theirs in zip(found.alone_us[guarded], found.alone_us[bare], strict=True))
    return [
        Row(f"{server}, the application alone, requests per second", median(found.per_s[bare]), "/s", known()),
        Row(f"{server}, with the middleware, requests per second", median(found.per_s[guarded]), "/s", known()),
        Row(f"{server}, with one that does nothing ÷ alone", ratios(found.per_s, wrapped, bare), "times", known()),
        Row(f"{server}, with the middleware ÷ alone", ratios(found.per_s, guarded, bare), "times", at_least(0.85)),
        Row(f"{server}, with the middleware ÷ alone, {PER_CPU}", ratios(found.cpu_us, bare, guarded), "times", known()),
        Row(f"{server}, added by the middleware, one connection, p50", added, "µs", known()),
    ]
