"""One of several nodes on one PostgreSQL: the store of its workers, and the process that keeps its replica.

The processes of a node meet in the replica's file, in the lease beside it, and at a socket in the server's own folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import signal
import socket
from multiprocessing.connection import Connection
from pathlib import Path

from keyscope import __version__
from keyscope.gate.followers import Followers, folder_beside
from keyscope.settings import Settings
from keyscope.store.postgres.address import parse
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.replica import file
from keyscope.store.replica.confirming import Confirmations, Confirmer
from keyscope.store.replica.file import ReplicaFile
from keyscope.store.replica.following import Followed, Follower
from keyscope.store.replica.lease import Lease
from keyscope.store.replica.record import Node
from keyscope.store.replica.store import NodeStore, ReplicaStore

_SOCKET = "node.sock"


def node_store(settings: Settings, folder: Path | None) -> ReplicaStore:
    """The store of one process, which meets the follower in the folder; None for a gate that has none of its own.

    Raises ConfigurationError.
    """
    if folder is None:
        return ReplicaStore.open(settings.database, settings.replica)
    replica = settings.replica.resolve()
    file.create(replica)
    return NodeStore(
        PostgresStore.open(settings.database, settings.beside),
        replica,
        Lease.open(replica),
        Confirmer(folder / _SOCKET),
        int(settings.receipt_wait_s * 1000),
    )


def check_replica(settings: Settings) -> None:
    """Raise ConfigurationError if the replica cannot be used, or another server follows into it."""
    replica = settings.replica.resolve()
    file.create(replica)
    with contextlib.closing(Lease.open(replica)) as lease:
        lease.hold()


async def run_follower(settings: Settings, folder: Path, parent: Connection) -> None:
    """Keep the replica until the parent ends, or says so: after everybody who judges by it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a terminal sends it to all of us at once
    replica = ReplicaFile.open(settings.replica)
    lease = Lease.open(replica.path)
    with contextlib.closing(replica), contextlib.closing(lease):
        lease.hold()
        gates = Followers(folder_beside(replica.path))
        follower = Follower(
            Followed(parse(settings.database), _node(settings)), replica, lease, lambda: _confirm(gates)
        )
        async with Confirmations(follower).listening(folder / _SOCKET):
            await _until_ended(follower, parent)
        await follower.leave()


async def _until_ended(follower: Follower, parent: Connection) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(parent.fileno(), ended.set)
    running, ending = asyncio.ensure_future(follower.run()), asyncio.ensure_future(ended.wait())
    await asyncio.wait({running, ending}, return_when=asyncio.FIRST_COMPLETED)
    loop.remove_reader(parent.fileno())
    ending.cancel()
    running.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _confirm(gates: Followers) -> None:
    """Returns when each gate of this host has what the replica has, or has closed itself (decision 9)."""
    if gates.count():
        await asyncio.to_thread(gates.confirm)


def _node(settings: Settings) -> Node:
    """A new id each time: what an earlier follower was granted is its own, and runs out by itself."""
    return Node(
        id=secrets.token_hex(8),
        name=settings.node_name or f"{socket.gethostname()}:{settings.port}",
        version=__version__,
        lease_ms=int(settings.max_staleness * 1000),
    )
