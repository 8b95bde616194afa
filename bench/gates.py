"""The gates that are compared, one row each: a name, how it is started, what it is held against, and its target.

Every gate stands on the servers' core in front of the same upstream. Those that ask share one Keyscope, which stands on
that core too, and run with exactly what ``keyscope export`` prints.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import cache, partial
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httpx
from scripts.proxies import ENVOY_GRPC, UPSTREAM_KEY, configuration, install, program_of

from bench import keys, nginx, plain
from bench.processes import Running, free_port, keyscope, required, running, serve_command
from bench.report import Missing, Target, at_least

_START_S = 60


class Around(NamedTuple):
    """What a gate is started with. ``asked`` is the Keyscope that gates ask."""

    directory: Path
    upstream: str
    asked: Running
    key_count: int
    grpc_port: int = 0


class Served(NamedTuple):
    """Where a gate answers, and all first processes whose time it takes."""

    url: str
    pids: tuple[int, ...]


class Gate(NamedTuple):
    """``start`` raises Missing where the gate cannot be had."""

    name: str
    start: Callable[[Around], AbstractContextManager[Served]]
    ceiling: str = ""
    target: Target = Target()


@contextlib.contextmanager
def _plain(proxy: str, around: Around) -> Iterator[Served]:
    place, port = _place(around, f"plain-{proxy}"), free_port()
    if proxy == "nginx":
        started = nginx.proxying(place, around.upstream)
    else:
        command = plain.command(proxy, place, port, around.upstream)
        started = running(command, port, place / "log", directory=place, environment={"HOME": str(place)})
    with started as server:
        yield _ready(Served(server.url, (server.pid,)))


@contextlib.contextmanager
def _asking(proxy: str, around: Around) -> Iterator[Served]:
    place, port = _place(around, f"asking-{proxy}"), free_port()
    required(program_of(proxy))
    keyscope_port = around.grpc_port if proxy == ENVOY_GRPC else urlsplit(around.asked.url).port or 0
    text = configuration(proxy, around.upstream, keyscope_port, port)
    environment = {"KEYSCOPE_UPSTREAM_KEY": UPSTREAM_KEY, "HOME": str(place)}
    command = install(proxy, text, place)
    with running(command, port, place / "log", directory=place, environment=environment) as server:
        yield _ready(Served(server.url, (server.pid, around.asked.pid)))


@contextlib.contextmanager
def _built_in(around: Around) -> Iterator[Served]:
    place = _place(around, "built-in")
    with keyscope(place, key_count=around.key_count, upstream=around.upstream) as server:
        yield _ready(Served(server.url, (server.pid,)))


@contextlib.contextmanager
def engine(around: Around) -> Iterator[Served]:
    """``keyscope serve --engine haproxy``, with a database of its own."""
    require_engine()
    place, port = _place(around, "engine"), free_port()
    command = engine_command(keys.a_copy(around.key_count, place), port, around.upstream)
    with running(command, port, place / "log", directory=place, environment=engine_environment()) as server:
        yield _ready(Served(server.url, (server.pid,)))


def engine_environment() -> dict[str, str]:
    return {**os.environ, "KEYSCOPE_UPSTREAM_KEY": UPSTREAM_KEY}


def engine_command(database: Path, port: int, upstream: str) -> list[str]:
    return serve_command(database, port, upstream, "--engine", "haproxy")


@cache
def require_engine() -> None:
    """Raises Missing unless this Keyscope has the engine, and HAProxy is there."""
    required("haproxy")
    said = subprocess.run([sys.executable, "-m", "keyscope", "serve", "--help"], capture_output=True, text=True).stdout
    if "--engine" not in said:
        raise Missing("this Keyscope has no --engine")


def _place(around: Around, name: str) -> Path:
    place = around.directory / name
    place.mkdir()
    return place


def _ready(served: Served) -> Served:
    """Once it lets a call through: some listen before they know their routes."""
    headers = {"authorization": f"Bearer {keys.secret(1).reveal()}"}
    end = time.monotonic() + _START_S
    while True:
        with contextlib.suppress(httpx.TransportError):
            status = httpx.get(f"{served.url}/v1/devboxes", headers=headers, trust_env=False).status_code
            if status == 200:
                return served
        if time.monotonic() > end:
            raise RuntimeError(f"{served.url} let no call through in {_START_S} s")
        time.sleep(0.05)


def _ask(proxy: str, name: str, title: str, *target: Target) -> Gate:
    return Gate(name, partial(_asking, proxy), f"plain {title}", *target)


PLAIN = tuple(
    Gate(f"plain {title}", partial(_plain, proxy))
    for proxy, title in (
        ("nginx", "nginx"),
        ("haproxy", "HAProxy"),
        ("envoy", "Envoy"),
        ("caddy", "Caddy"),
        ("traefik", "Traefik"),
    )
)
PLAIN_NGINX, PLAIN_HAPROXY = PLAIN[0], PLAIN[1]
GATES: tuple[Gate, ...] = (
    _ask("nginx", "nginx, auth_request", "nginx", at_least(0.28)),
    _ask("envoy", "Envoy, ext_authz over HTTP", "Envoy"),
    _ask(ENVOY_GRPC, "Envoy, ext_authz over gRPC", "Envoy"),
    _ask("caddy", "Caddy, forward_auth", "Caddy"),
    _ask("traefik", "Traefik, forwardAuth", "Traefik"),
    Gate("Keyscope's engine in HAProxy", engine, PLAIN_HAPROXY.name, at_least(0.75)),
    Gate("Keyscope's built-in gate", _built_in, PLAIN_NGINX.name),
)
