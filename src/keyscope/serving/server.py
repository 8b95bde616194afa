"""Serve in this process, HTTP/1.1 and HTTP/2 with prior knowledge (Granian)."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Protocol

import uvloop
from granian.constants import Interfaces
from granian.http import HTTP1Settings, HTTP2Settings
from granian.server.embed import Server

from keyscope import __version__
from keyscope.authority.counting import AWAY_OPEN, Counting
from keyscope.authority.idle import suspend_idle
from keyscope.authority.ports import Clock, Entropy, Index, Store
from keyscope.authority.recording import Recording
from keyscope.authority.runs import Runs
from keyscope.authority.verify import Verifier
from keyscope.errors import KeyscopeError
from keyscope.gate.followers import FollowedStore, Followers, folder_beside
from keyscope.gate.otlp import exported
from keyscope.gate.shared import told
from keyscope.gate.tidying import tidied
from keyscope.gate.traces import Traces, watch
from keyscope.gate.upkeep import FirstUses, record
from keyscope.gate.upstream import Upstream
from keyscope.gate.writing import written_down
from keyscope.logs import Named, is_json, say
from keyscope.policy.check import require_sound
from keyscope.policy.document import Policy
from keyscope.policy.own import with_own_operations
from keyscope.policy.sources import load_any
from keyscope.serving.application import Application
from keyscope.serving.behind import PeerFromEngine
from keyscope.serving.counted import counters_of
from keyscope.serving.recorded import recording_of
from keyscope.serving.silent import close_silent
from keyscope.serving.told import Told
from keyscope.settings import Settings
from keyscope.store.open import open_store
from keyscope.store.sqlite import SqliteStore
from keyscope.system import SystemClock, SystemEntropy
from keyscope.webhooks.delivering import delivering
from keyscope.wire.asgi import App, Receive, Scope, Send

log = logging.getLogger(__name__)

CHECK_EVERY_S = 1.0
RECORD_EVERY_S = 2.0
IDLE_EVERY_S = 60.0
RUNS_EVERY_S = 2.0
_BACKLOG = 2048
_MAX_REQUESTS_AT_ONCE = 16384
_STREAMS = 100


def load_policy(source: str) -> Policy:
    """The policy with Keyscope's own operations. Raises ConfigurationError if it does not pass the lint."""
    policy = with_own_operations(load_any(source))
    require_sound(policy)
    return policy


class Served(Protocol):
    """An application that the server can keep: the whole of it, or a gate alone."""

    index: Index
    verifier: Verifier

    def check(self) -> None: ...

    def leave(self) -> None: ...

    def stop(self) -> None: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


Make = Callable[[Settings, Policy, Store, Clock, Entropy, Upstream | None, Recording | None], Served]


def run_alone(settings: Settings, policy: Policy, make: Make) -> None:
    """Serve one application in this process until SIGTERM or SIGINT."""
    uvloop.run(serve(settings, policy, parent=None, announce=True, socket_path=None, make=make))


async def serve(
    settings: Settings,
    policy: Policy,
    parent: Connection | None,
    announce: bool,
    socket_path: Path | None,
    make: Make = Application,
    counts: Path | None = None,
) -> None:
    """``counts`` is a folder that the workers of one server share."""
    store = _opened(settings, counts)
    try:
        async with contextlib.AsyncExitStack() as stack:
            upstream = await stack.enter_async_context(_upstream(settings)) if settings.upstream else None
            recording = stack.enter_context(_recording(settings, store))
            application = make(settings, policy, store, SystemClock(), SystemEntropy(), upstream, recording)
            stack.callback(application.index.close)
            await stack.enter_async_context(_counted(settings, application.verifier))
            if isinstance(application, Application):
                stack.callback(application.webhooks.outbox.close)
                stack.callback(application.things.close)
            # The last uses, once the audit trail has them; first uses among them go to the outbox.
            stack.push_async_callback(record, application.verifier, store, _first_uses(application))
            await stack.enter_async_context(written_down(application.verifier, recording))
            if isinstance(application, Application):
                application.meters.following = _followers(settings)
                application.counts.folder = counts
                await stack.enter_async_context(told(application.counts))
                await stack.enter_async_context(_traced(settings, application))
                await stack.enter_async_context(application.held.running())
                await stack.enter_async_context(delivering(application.deliverer, application.webhooks.lock))
            if settings.envoy_grpc is not None and isinstance(application, Application):
                from keyscope.serving.envoy_grpc import answering_envoy  # an extra: only where it is asked for

                await stack.enter_async_context(answering_envoy(settings, settings.envoy_grpc, application))
            await _run_server(settings, store, application, parent, announce, socket_path)
    finally:
        store.close()


def _opened(settings: Settings, folder: Path | None) -> Store:
    """The store, whose changes wait for the gates that keep a copy.

    ``folder``: where the processes of a node meet; None for a gate beside one.
    """
    if settings.is_node:
        from keyscope.serving.nodes import node_store  # PostgreSQL's client: it takes a while, and not all need it

        return node_store(settings, folder)
    store = open_store(settings.database, settings.beside)
    return FollowedStore(store, Followers(folder_beside(store.path))) if isinstance(store, SqliteStore) else store


@contextlib.asynccontextmanager
async def _traced(settings: Settings, application: Application) -> AsyncIterator[None]:
    """Trace what the application answers, if a setting or OpenTelemetry's own variable names a collector."""
    collector = settings.otlp_endpoint or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not collector:
        yield
        return
    application.traces = Traces()
    watch(application.verifier)
    async with exported(application.traces, collector):
        yield


def _followers(settings: Settings) -> Callable[[], int]:
    beside = settings.beside
    return Followers(folder_beside(beside.resolve())).count if beside is not None else lambda: 0


@contextlib.asynccontextmanager
async def _counted(settings: Settings, verifier: Verifier) -> AsyncIterator[None]:
    """Count what is spent, from the beginning to the end of the block."""
    counters = counters_of(settings.database, settings.counters, settings.counters_password)
    if counters is not None:
        rates_pass = settings.counters_away == AWAY_OPEN
        verifier.counting = Counting(counters, SystemClock(), rates_pass=rates_pass)
    async with tidied(counters):
        yield


@contextlib.contextmanager
def _recording(settings: Settings, store: Store) -> Iterator[Recording | None]:
    """What this process records, if it is to. It ends after all else that may still be a change."""
    if not settings.audit:
        yield None
        return
    recording = recording_of(
        settings.beside, store, SystemClock(), is_server=True, key=settings.audit_key, days=settings.audit_days
    )
    with contextlib.closing(recording.trail):
        yield recording
        try:
            recording.finish()
        except KeyscopeError as error:
            log.error("the audit trail was not signed at the end: %s", error.detail)


def _upstream(settings: Settings) -> Upstream:
    return Upstream(
        settings.upstream or "",
        settings.upstream_key,
        connect_timeout_s=settings.upstream_connect_timeout_s,
        idle_timeout_s=settings.upstream_timeout_s,
    )


async def _run_server(
    settings: Settings,
    store: Store,
    application: Served,
    parent: Connection | None,
    announce: bool,
    socket_path: Path | None,
) -> None:
    server = _server(settings, application, socket_path)
    background = [
        asyncio.create_task(_watch_store(application, store)),
        asyncio.create_task(_record_uses(application, store)),
    ]
    if isinstance(application, Application):
        background.append(asyncio.create_task(_suspend_idle(store)))
        background.append(asyncio.create_task(_look_after_runs(application.runs)))
    if socket_path is None:
        background.append(asyncio.create_task(_close_silent(settings)))
    if announce:
        background.append(asyncio.create_task(_announce(settings, socket_path)))
    told = Told(parent)
    serving = asyncio.create_task(server.serve())
    try:
        await told.first({serving})
        application.leave()
        # Behind HAProxy the worker serves for as long as the engine does, and then its parent tells it.
        await told.to_stop({serving}, settings.drain_s if socket_path is None else None)
        server.stop()  # type: ignore[no-untyped-call]  # Granian has no types there
        application.stop()
        await _ended(serving, settings.stop_s)
    finally:
        for task in background:
            task.cancel()


async def _ended(serving: asyncio.Task[None], stop_s: float) -> None:
    """Returns when what is under way has ended, after so many seconds at the latest."""
    done, _ = await asyncio.wait({serving}, timeout=stop_s)
    if not done:
        log.warning("requests were still under way after %g s, and are cut off", stop_s)
        serving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _server(settings: Settings, application: Served, socket_path: Path | None) -> Server:
    if socket_path is not None:
        socket_path.unlink(missing_ok=True)  # of a worker before this one
    app: App = application if socket_path is None else PeerFromEngine(application)
    return Server(
        Named(app) if is_json() else app,
        uds=socket_path,
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


async def _announce(settings: Settings, socket_path: Path | None) -> None:
    """The ready line, once the port answers, and what is behind it."""
    while socket_path is not None and not socket_path.exists():
        await asyncio.sleep(0.02)
    while True:
        try:
            _, writer = await asyncio.open_connection(settings.local_host, settings.port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        and_envoy = f", for Envoy (gRPC) on {settings.envoy_grpc}" if settings.envoy_grpc is not None else ""
        say(f"keyscope {__version__} is ready on {settings.url}{and_envoy}")
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


async def _look_after_runs(runs: Runs) -> None:
    while True:
        await asyncio.sleep(RUNS_EVERY_S)
        await asyncio.to_thread(runs.look_after)


async def _record_uses(application: Served, store: Store) -> None:
    while True:
        await asyncio.sleep(RECORD_EVERY_S)
        await record(application.verifier, store, _first_uses(application))


def _first_uses(application: Served) -> FirstUses | None:
    return application.webhooks.outbox.note_first_uses if isinstance(application, Application) else None
