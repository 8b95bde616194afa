"""Serve behind HAProxy: the workers listen on Unix sockets in a folder of their own, and one process runs the engine.

Only this user's processes can enter the folder, so what comes in over these sockets comes from HAProxy, and the address
of the caller that it names is believed.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from keyscope.authority.meter import Meter
from keyscope.authority.recording import Recording
from keyscope.gate.export import Origin
from keyscope.gate.haproxy.configuration import LEASE_MS, Bounds, Place
from keyscope.gate.haproxy.engine import Engine
from keyscope.gate.shared import SharedCounts, told
from keyscope.gate.upkeep import FirstUses
from keyscope.policy.document import Policy
from keyscope.serving.fed import Fed, fed
from keyscope.serving.recorded import recorded
from keyscope.serving.told import Told
from keyscope.settings import Settings
from keyscope.store.outbox import open_outbox, outbox_beside
from keyscope.system import SystemClock
from keyscope.wire.asgi import App, Receive, Scope, Send

PEER_HEADER = b"x-keyscope-peer"


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A folder with a short path, for sockets, that is gone at the end."""
    folder = Path(tempfile.mkdtemp(prefix="keyscope-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def worker_socket(folder: Path, number: int) -> Path:
    return folder / f"worker-{number}.sock"


class PeerFromEngine:
    """An ASGI application that sees the address of the caller where it would see HAProxy's."""

    def __init__(self, app: App) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "headers" in scope:
            peers = [value for name, value in scope["headers"] if name == PEER_HEADER]
            scope["headers"] = [field for field in scope["headers"] if field[0] != PEER_HEADER]
            scope["client"] = (peers[0].decode("ascii") if len(peers) == 1 else "", 0)
        await self._app(scope, receive, send)


async def run_engine(settings: Settings, policy: Policy, folder: Path, parent: Connection) -> None:
    """Run HAProxy until a signal, or until the parent ends."""
    clock = SystemClock()
    with contextlib.ExitStack() as stack:
        feeding = stack.enter_context(fed(settings.database, settings.replica, _longest_ms(settings)))
        outbox = stack.enter_context(contextlib.closing(open_outbox(outbox_beside(feeding.beside))))
        opened = recorded(feeding.beside, feeding.store, clock, is_wanted=settings.audit)
        recording = stack.enter_context(opened)
        engine = _engine(settings, policy, folder, feeding, recording, outbox.note_first_uses)
        async with _counted(recording, folder):
            await _run(engine, feeding.followed, settings, parent)


def _longest_ms(settings: Settings) -> int:
    """For how long HAProxy may judge alone: at a node half of its lease, and half of the usual time, at most.

    So a clock that is set back makes it outlast neither the lease nor the patience of whoever waits for HAProxy.
    """
    return min(LEASE_MS // 2, int(settings.max_staleness * 500)) if settings.is_node else LEASE_MS


@contextlib.asynccontextmanager
async def _counted(recording: Recording | None, folder: Path) -> AsyncIterator[None]:
    """What HAProxy judges goes into the metrics, which the workers show."""
    meter = Meter()
    if recording is not None:
        recording.meter = meter
    async with told(SharedCounts(meter, folder)):
        yield


async def _run(engine: Engine, followed: Path, settings: Settings, parent: Connection) -> None:
    """Ends the engine once: its end takes a while, and a second call would cut it short."""
    told = Told(parent)
    running = asyncio.ensure_future(engine.run(followed))
    await told.first({running})
    await told.to_stop({running}, settings.drain_s)
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


def _engine(
    settings: Settings,
    policy: Policy,
    folder: Path,
    feeding: Fed,
    recording: Recording | None,
    first_uses: FirstUses,
) -> Engine:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    place = Place(
        listen=f"{host}:{settings.port}",
        upstream=Origin.parse(settings.upstream or ""),
        directory=folder,
        socket=folder / "haproxy.sock",
        servers=[str(worker_socket(folder, number)) for number in range(settings.workers)],
    )
    bounds = Bounds(
        header_bytes=settings.max_header_bytes,
        header_s=settings.header_timeout_s,
        client_s=settings.body_timeout_s,
        connect_s=settings.upstream_connect_timeout_s,
        server_s=settings.upstream_timeout_s,
        threads=settings.engine_threads,
        leave_ms=feeding.keys.longest_ms,
    )
    return Engine(
        place,
        bounds,
        feeding.store,
        feeding.keys,
        SystemClock(),
        policy.table(),
        recording,
        first_uses,
        upstream_key=settings.upstream_key,
        stop_s=settings.stop_s,
    )
