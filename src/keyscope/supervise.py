"""Keep the server's processes running: one alone, or several workers on one port, or workers behind HAProxy.

The processes share the port and the database and nothing else. A process ends when its parent does.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import uvloop

from keyscope.application import Application
from keyscope.behind import private_folder, run_engine, worker_socket
from keyscope.policy.document import Policy
from keyscope.server import DRAIN_S, load_policy, run_alone, serve, start_logging
from keyscope.settings import BUILT_IN, HAPROXY, Settings, parse_settings

log = logging.getLogger(__name__)


def run(settings: Settings, policy: Policy, options: Mapping[str, str | None]) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    if settings.workers == 1 and settings.engine == BUILT_IN:
        run_alone(settings, policy, Application)
        return 0
    return _supervise(settings, options)


class _Child(NamedTuple):
    """A process to keep running. ``body`` is called with ``arguments`` and whether it is the first of its kind."""

    name: str
    body: Callable[..., None]
    arguments: tuple[object, ...]


def _supervise(settings: Settings, options: Mapping[str, str | None]) -> int:
    """Start the workers and the engine, start one again that dies, and stop them all on SIGTERM or SIGINT."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        ours.close()

    def start(child: _Child, *, first: bool) -> BaseProcess:
        process = context.Process(target=child.body, args=(*child.arguments, theirs, first), name=child.name)
        process.start()
        return process

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, stop)
    with _children(settings, dict(options)) as children:
        running = [start(child, first=True) for child in children]
        while not stopping:
            for number, process in enumerate(running):
                process.join(0.1)
                if not process.is_alive() and not stopping:
                    log.error("%s ended with code %s; starting it again", process.name, process.exitcode)
                    running[number] = start(children[number], first=False)
        for process in running:
            process.join(DRAIN_S + 1)
            if process.is_alive():
                process.kill()
    return 0


@contextlib.contextmanager
def _children(settings: Settings, options: dict[str, str | None]) -> Iterator[list[_Child]]:
    """The processes that these settings ask for, and the folder that they meet in."""
    with private_folder() as folder:
        behind = settings.engine == HAPROXY
        sockets = [worker_socket(folder, n) if behind else None for n in range(settings.workers)]
        children = [
            _Child(f"worker {n}", work_alone, (options, path, folder, n == 0)) for n, path in enumerate(sockets)
        ]
        if behind:
            children.append(_Child("engine", engine_alone, (options, folder)))
        yield children


def work_alone(
    options: dict[str, str | None],
    socket_path: Path | None,
    counts: Path,
    announces: bool,
    parent: Connection,
    first: bool,
) -> None:
    """The body of a worker process. Secrets come from its environment, never over the pipe."""
    settings = _settings_of(options)
    announce = announces and first
    uvloop.run(serve(settings, load_policy(settings.policy), parent, announce, socket_path, counts=counts))


def engine_alone(options: dict[str, str | None], folder: Path, parent: Connection, _first: bool) -> None:
    """The body of the process that runs HAProxy."""
    settings = _settings_of(options)
    asyncio.run(run_engine(settings, load_policy(settings.policy), folder, parent))


def _settings_of(options: dict[str, str | None]) -> Settings:
    start_logging("info")
    settings = parse_settings(options, os.environ)
    start_logging(settings.log_level)
    return settings
