"""A follower on a real database."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from keyscope.store.postgres.address import parse
from keyscope.store.replica.file import ReplicaFile
from keyscope.store.replica.following import Followed, Follower
from keyscope.store.replica.lease import Lease
from keyscope.store.replica.record import Node
from tests.postgres import Databases

GIVEN_UP_S = 2.0
"""When a follower gives up a host that does not answer."""


@pytest.fixture
def deaf() -> Iterator[int]:
    """A port of loopback that takes no more connections, and does not say so: as a host that is gone."""
    with ExitStack() as stack:
        listening = stack.enter_context(socket.socket())
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        port: int = listening.getsockname()[1]
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", port))
        yield port


async def _until_heard_s(url: str, replica: ReplicaFile, lease: Lease) -> float:
    async def nothing() -> None: ...

    follower = Follower(Followed(parse(url), Node("n", "n", "0", 60_000)), replica, lease, nothing)
    began_s = time.monotonic()
    following = asyncio.create_task(follower.run())
    while lease.left_ns <= 0:
        assert time.monotonic() - began_s < 30
        await asyncio.sleep(0.01)
    took_s = time.monotonic() - began_s
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    return took_s


def test_of_several_hosts_one_that_is_gone_is_waited_for_once(databases: Databases, tmp_path: Path, deaf: int) -> None:
    replica = tmp_path / "replica.db"
    lease = Lease.open(replica)
    lease.hold()
    port = databases.server.port
    url = databases.fresh().replace(f"127.0.0.1:{port}", f"127.0.0.1:{deaf},127.0.0.1:{port}")
    with closing(ReplicaFile.open(replica)) as file:
        took_s = asyncio.run(_until_heard_s(url, file, lease))
    lease.close()
    # Once for the three connections, and once for the copy of all keys.
    assert took_s < 3 * GIVEN_UP_S
