"""Keep the server's processes running: one alone, or several workers on one port, or workers behind HAProxy.

The processes share the port and the database and nothing else. A process ends when its parent does. What a supervisor
is told it tells them all; workers behind HAProxy go on until HAProxy has ended, which asks them to the last.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple

import uvloop

from keyscope.errors import ConfigurationError
from keyscope.logs import say_error, start_early, start_logging
from keyscope.policy.document import Policy
from keyscope.serving.application import Application
from keyscope.serving.behind import private_folder, run_engine, worker_socket
from keyscope.serving.server import load_policy, run_alone, serve
from keyscope.serving.told import DRAIN, STOP
from keyscope.settings import BUILT_IN, HAPROXY, Settings, parse_settings

log = logging.getLogger(__name__)

_ENGINE = "engine"
_FOLLOWER = "follower"
_LOOK_S = 0.1
_MARGIN_S = 1.0
"""For what a process does after its last answer: writing down what it has counted."""


def run(settings: Settings, policy: Policy, options: Mapping[str, str | None]) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    if settings.workers == 1 and settings.engine == BUILT_IN and not settings.is_node:
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
    told: list[int] = []

    def start(child: _Child, *, first: bool) -> BaseProcess:
        process = context.Process(target=child.body, args=(*child.arguments, theirs, first), name=child.name)
        process.start()
        return process

    for signal_number in (DRAIN, STOP):
        signal.signal(signal_number, lambda heard, _: told.append(heard))
    with _children(settings, dict(options)) as children:
        running = [start(child, first=True) for child in children]
        while not told:
            for number, process in enumerate(running):
                process.join(_LOOK_S)
                if not process.is_alive() and not told:
                    log.error("%s ended with code %s; starting it again", process.name, process.exitcode)
                    running[number] = start(children[number], first=False)
        _end(running, settings, told[0], ours)
    return 0


def _end(running: list[BaseProcess], settings: Settings, told: int, pipe: Connection) -> None:
    """End the processes, those that face the callers first, and last the follower, by whose word the others judge.

    Whoever does not end in time is killed.
    """
    judging = [process for process in running if process.name != _FOLLOWER]
    facing = [process for process in running if process.name == _ENGINE] or judging
    for process in judging:
        _tell(process, told if process in facing else DRAIN)
    wait_s = settings.stop_s + _MARGIN_S
    _join(facing, wait_s + (settings.drain_s if told == DRAIN else 0))
    pipe.close()
    _join(running, wait_s)


def _tell(process: BaseProcess, number: int) -> None:
    if process.pid is not None and process.is_alive():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, number)


def _join(processes: list[BaseProcess], wait_s: float) -> None:
    end = time.monotonic() + wait_s
    for process in processes:
        process.join(max(0.0, end - time.monotonic()))
        if process.is_alive():
            log.error("%s did not end in time and is killed", process.name)
            process.kill()
            process.join()


@contextlib.contextmanager
def _children(settings: Settings, options: dict[str, str | None]) -> Iterator[list[_Child]]:
    """The processes that these settings ask for, and the folder that they meet in."""
    with private_folder() as folder:
        behind = settings.engine == HAPROXY
        sockets = [worker_socket(folder, n) if behind else None for n in range(settings.workers)]
        children = [
            _Child(f"worker {n}", work_alone, (options, path, folder, n == 0)) for n, path in enumerate(sockets)
        ]
        if settings.is_node:
            children.insert(0, _Child(_FOLLOWER, follow_alone, (options, folder)))
        if behind:
            children.append(_Child(_ENGINE, engine_alone, (options, folder)))
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
    with _in_the_log(options):
        settings = _settings_of(options)
        announce = announces and first
        uvloop.run(serve(settings, load_policy(settings.policy), parent, announce, socket_path, counts=counts))


def engine_alone(options: dict[str, str | None], folder: Path, parent: Connection, _first: bool) -> None:
    """The body of the process that runs HAProxy."""
    with _in_the_log(options):
        settings = _settings_of(options)
        asyncio.run(run_engine(settings, load_policy(settings.policy), folder, parent))


def follow_alone(options: dict[str, str | None], folder: Path, parent: Connection, _first: bool) -> None:
    """The body of the process that keeps this node's replica."""
    from keyscope.serving.nodes import run_follower  # PostgreSQL's client: it takes a while, and not all need it

    with _in_the_log(options):
        asyncio.run(run_follower(_settings_of(options), folder, parent))


@contextlib.contextmanager
def _in_the_log(options: Mapping[str, str | None]) -> Iterator[None]:
    """What ends a process is said in the log: multiprocessing itself would print it past the log."""
    start_early(options, os.environ)
    try:
        yield
    except ConfigurationError as error:
        say_error(error)
        sys.exit(1)
    except Exception as error:
        log.critical("the process ends", exc_info=error)
        sys.exit(1)


def _settings_of(options: dict[str, str | None]) -> Settings:
    settings = parse_settings(options, os.environ)
    start_logging(settings.log_level, settings.log_format)
    return settings
