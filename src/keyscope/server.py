"""Serve: one process or several, on one port, HTTP/1.1 and HTTP/2 with prior knowledge (Granian).

The processes share the port and the database and nothing else. A process ends when its parent does.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Protocol

import uvloop
from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from keyscope import __version__
from keyscope.application import Application
from keyscope.authority.idle import suspend_idle
from keyscope.authority.ports import Clock, Entropy, Index, Store, Writer
from keyscope.authority.verify import Verifier
from keyscope.errors import ConfigurationError, Fault, KeyscopeError
from keyscope.gate.upstream import Upstream
from keyscope.policy.check import require_sound
from keyscope.policy.document import Policy, load
from keyscope.policy.own import with_own_operations
from keyscope.settings import Settings, parse_settings
from keyscope.silent import close_silent
from keyscope.store.open import open_store
from keyscope.system import SystemClock, SystemEntropy
from keyscope.wire.asgi import Receive, Scope, Send

log = logging.getLogger(__name__)

CHECK_EVERY_S = 1.0
RECORD_EVERY_S = 2.0
IDLE_EVERY_S = 60.0
DRAIN_S = 10.0
_BACKLOG = 2048
_MAX_REQUESTS_AT_ONCE = 16384
_STREAMS = 100


def load_policy(source: str) -> Policy:
    """The policy with Keyscope's own operations. Raises ConfigurationError if it does not pass the lint."""
    policy = with_own_operations(load(source))
    require_sound(policy)
    return policy


def check_port(settings: Settings) -> None:
    """Raise ConfigurationError if the address cannot be listened on.

    Asked before serving, because the server's own sockets share a port (SO_REUSEPORT) and would join a stranger's.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
    except OSError as error:
        raise ConfigurationError("address", [Fault("--host, --port", _address_fault(settings, error))]) from None


def _address_fault(settings: Settings, error: OSError) -> str:
    where = f"{settings.host} port {settings.port}"
    if error.errno == errno.EADDRINUSE:
        return f"{where} is in use by another program; stop it or choose another --port"
    if error.errno == errno.EACCES:
        return f"{where} needs more rights; choose a --port above 1023"
    return f"cannot listen on {where}: {error.strerror or error}; choose an address of this machine"


class Served(Protocol):
    """An application that the server can keep: the whole of it, or a gate alone."""

    index: Index
    verifier: Verifier

    def check(self) -> None: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


Make = Callable[[Settings, Policy, Store, Clock, Entropy, Upstream | None], Served]


def run(settings: Settings, policy: Policy, options: Mapping[str, str | None]) -> int:
    """Serve until SIGTERM or SIGINT. Returns the exit code."""
    if settings.workers == 1:
        run_alone(settings, policy, Application)
        return 0
    return _supervise(settings, options)


def run_alone(settings: Settings, policy: Policy, make: Make) -> None:
    """Serve one application in this process until SIGTERM or SIGINT."""
    uvloop.run(_serve(settings, policy, parent=None, announce=True, make=make))


async def _serve(
    settings: Settings, policy: Policy, parent: Connection | None, announce: bool, make: Make = Application
) -> None:
    store = open_store(settings.database)
    try:
        async with contextlib.AsyncExitStack() as stack:
            upstream = await stack.enter_async_context(_upstream(settings)) if settings.upstream else None
            application = make(settings, policy, store, SystemClock(), SystemEntropy(), upstream)
            stack.callback(application.index.close)
            await _run_server(settings, store, application, parent, announce)
    finally:
        store.close()


def _upstream(settings: Settings) -> Upstream:
    return Upstream(
        settings.upstream or "",
        settings.upstream_key,
        connect_timeout_s=settings.upstream_connect_timeout_s,
        idle_timeout_s=settings.upstream_timeout_s,
    )


async def _run_server(
    settings: Settings, store: Store, application: Served, parent: Connection | None, announce: bool
) -> None:
    server = _server(settings, application)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, server.stop)
    if parent is not None:
        loop.add_reader(parent.fileno(), server.stop)  # readable at the parent's end of life
    background = [
        asyncio.create_task(_watch_store(application, store)),
        asyncio.create_task(_record_uses(application, store)),
        asyncio.create_task(_close_silent(settings)),
        asyncio.create_task(_suspend_idle(store)),
    ]
    if announce:
        background.append(asyncio.create_task(_announce(settings)))
    serving = asyncio.create_task(server.serve())
    try:
        await _until_stopped(server, serving)
    finally:
        for task in background:
            task.cancel()
        await _record(application, store)


async def _until_stopped(server: Server, serving: asyncio.Task[None]) -> None:
    while not serving.done() and not server.interrupt_signal:
        await asyncio.wait({serving}, timeout=0.1)
    done, _ = await asyncio.wait({serving}, timeout=DRAIN_S)
    if not done:
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _server(settings: Settings, application: Served) -> Server:
    return Server(
        application,
        address=settings.host,
        port=settings.port,
        interface=Interfaces.ASGINL,
        backlog=_BACKLOG,
        backpressure=_MAX_REQUESTS_AT_ONCE,
        http1_settings=HTTP1Settings(
            header_read_timeout=int(settings.header_timeout_s * 1000),
            max_buffer_size=max(65536, settings.max_header_bytes * 2),
        ),
        http2_settings=HTTP2Settings(max_concurrent_streams=_STREAMS, max_headers_size=settings.max_header_bytes),
        log_enabled=False,
    )


async def _announce(settings: Settings) -> None:
    """The ready line, once the port answers."""
    while True:
        try:
            _, writer = await asyncio.open_connection(settings.local_host, settings.port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        sys.stderr.write(f"keyscope {__version__} is ready on {settings.url}\n")
        sys.stderr.flush()
        return


async def _watch_store(application: Served, store: Store) -> None:
    """Close the gate while the store cannot be used, and open it when it can again."""
    while True:
        try:
            application.check()
            await asyncio.to_thread(store.tidy)
        except KeyscopeError as error:
            log.error("the store cannot be used: %s", error.detail)
        await asyncio.sleep(CHECK_EVERY_S)


async def _close_silent(settings: Settings) -> None:
    while True:
        await asyncio.sleep(min(settings.header_timeout_s, CHECK_EVERY_S))
        await asyncio.to_thread(close_silent, settings.port, settings.header_timeout_s)


async def _suspend_idle(store: Store) -> None:
    """Hold the accounts' rule on idle keys. A round that fails is followed by another one."""
    while True:
        try:
            suspended = await asyncio.to_thread(suspend_idle, store, SystemClock())
        except KeyscopeError as error:
            log.error("idle keys were not looked for: %s", error.detail)
        else:
            if suspended:
                log.info("%d idle keys were suspended", suspended)
        await asyncio.sleep(IDLE_EVERY_S)


async def _record_uses(application: Served, store: Store) -> None:
    while True:
        await asyncio.sleep(RECORD_EVERY_S)
        await _record(application, store)


async def _record(application: Served, store: Store) -> None:
    """Write down when keys were last used, beside the hot path. Losing some of it is no fault."""
    verifier = application.verifier
    used, verifier.used = verifier.used, {}
    dead = verifier.dead.take()
    if not (used or dead):
        return

    def work(writer: Writer) -> None:
        writer.record_use(used)
        verifier.dead.write(writer, dead)

    try:
        await asyncio.to_thread(store.write, work)
    except KeyscopeError as error:
        log.warning("last uses were not recorded: %s", error.detail)


def _supervise(settings: Settings, options: Mapping[str, str | None]) -> int:
    """Start the workers, start one again that dies, and stop them all on SIGTERM or SIGINT."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    stopping = False

    def stop(*_: object) -> None:
        nonlocal stopping
        stopping = True
        ours.close()

    def start(number: int) -> BaseProcess:
        worker = context.Process(target=work_alone, args=(dict(options), theirs, number == 0), name=f"worker-{number}")
        worker.start()
        return worker

    for signal_number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signal_number, stop)
    workers = [start(number) for number in range(settings.workers)]
    while not stopping:
        for number, worker in enumerate(workers):
            worker.join(0.1)
            if not worker.is_alive() and not stopping:
                log.error("worker %d ended with code %s; starting it again", number, worker.exitcode)
                workers[number] = start(number + 1)
    for worker in workers:
        worker.join(DRAIN_S + 1)
        if worker.is_alive():
            worker.kill()
    return 0


def work_alone(options: dict[str, str | None], parent: Connection, announce: bool) -> None:
    """The body of a worker process. Secrets come from its environment, never over the pipe."""
    start_logging("info")
    settings = parse_settings(options, os.environ)
    start_logging(settings.log_level)
    uvloop.run(_serve(settings, load_policy(settings.policy), parent, announce))


def start_logging(level: str) -> None:
    """Log to stderr."""
    logging.basicConfig(
        level=level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
