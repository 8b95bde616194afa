"""The follower: the one process of a node that talks with the record, keeps the replica, and grants the lease.

Five works run side by side while the record can be reached (decision 20): beats, which give leases; reading, on a
NOTIFY, after each beat and every ``POLL_S``; acknowledging; listening; and looking at the other nodes. When any of them
fails, all connections are given up and made anew. Meanwhile the lease runs out by itself.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from types import MappingProxyType
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import AsyncConnection, Connection

from keyscope.errors import KeyscopeError, StoreUnavailable
from keyscope.store.postgres.address import Address
from keyscope.store.replica.bell import Bell
from keyscope.store.replica.file import ReplicaFile
from keyscope.store.replica.lease import Lease, now_ns
from keyscope.store.replica.record import ACKNOWLEDGED, PAGE, Node, Record, snapshot
from keyscope.store.replica.registry import Registry

log = logging.getLogger(__name__)

POLL_S = 0.1
_AGAIN_S = 0.2
_LOOK_S = 1.0
_TIDY_S = 1.0
_BEATS_PER_LEASE = 4
_CONNECT_S = "2"
_LEAST_PATIENCE_S = 1.0


class Gap(Exception):
    """The changes that came are not those that come next."""


class Followed(Struct, frozen=True):
    """Where the record is, and who follows it."""

    address: Address
    node: Node

    @property
    def lease_ns(self) -> int:
        return self.node.lease_ms * 1_000_000

    @property
    def patience_s(self) -> float:
        """Connections over which nothing comes for so long are given up."""
        return max(_LEAST_PATIENCE_S, self.node.lease_ms / 1000)


class Follower:
    """Keeps one replica. ``confirm`` returns once the gates of this host have what the replica has."""

    def __init__(
        self,
        followed: Followed,
        replica: ReplicaFile,
        lease: Lease,
        confirm: Callable[[], Awaitable[None]],
    ) -> None:
        self._followed = followed
        self._node = followed.node
        self._parameters: dict[str, Any] = {**followed.address.parameters, "connect_timeout": _CONNECT_S}
        self._replica = replica
        self._lease = lease
        self._confirm = confirm
        self.registry = Registry()
        self.bell = Bell()
        """Rings when something was applied or acknowledged, or when the nodes were looked at."""
        self._news = Bell()
        """Rings when there is a reason to read."""
        self._looks = Bell()
        """Rings when somebody wants the nodes looked at."""
        self._asked_ns = 0
        self._acknowledged = 0
        self._wants_all = False

    @property
    def node(self) -> Node:
        return self._node

    @property
    def epoch(self) -> str:
        return self._replica.epoch

    @property
    def number(self) -> int:
        """The last change that is applied; a record that was not yet seen since the start has none."""
        return self._lease.number

    def look(self) -> None:
        """Have the nodes looked at, soon."""
        self._looks.ring()

    async def run(self) -> None:
        """Follow until cancelled, and through every trouble of the record."""
        while True:
            try:
                await self._follow()
            except* (psycopg.Error, OSError, KeyscopeError, Gap) as group:
                for error in group.exceptions:
                    said = " ".join(self._followed.address.hide(str(error)).split())
                    log.error("the record is not followed: %s", said or type(error).__name__)
                self._wants_all |= group.subgroup(Gap) is not None
            await asyncio.sleep(_AGAIN_S)

    async def leave(self) -> None:
        """The node ends: its lease is over, also for gates beside it that keep a copy, and nobody need wait for it."""
        self._lease.end()
        await self._confirm()
        with suppress(psycopg.Error, OSError, TimeoutError):
            async with asyncio.timeout(_LEAST_PATIENCE_S), await self._connection() as connection:
                record = Record(connection)
                await record.begin()
                await record.leave(self._node.id)

    async def _follow(self) -> None:
        async with AsyncExitStack() as stack:
            reading, beating, listening = records = await self._records(stack)
            self._asked_ns = 0
            async with asyncio.TaskGroup() as works:
                works.create_task(self._watch(records))
                works.create_task(self._follow_from(reading, beating, listening, works))

    async def _follow_from(self, reading: Record, beating: Record, listening: Record, works: asyncio.TaskGroup) -> None:
        for record in (reading, beating, listening):
            await record.begin()
        await reading.need_not_last()
        await listening.listen()
        await self._settle(reading, beating)
        works.create_task(self._beats(beating))
        works.create_task(self._reads(reading))
        works.create_task(self._acknowledges(reading))
        works.create_task(self._listens(listening))
        works.create_task(self._looks_at_nodes(reading))

    async def _settle(self, reading: Record, beating: Record) -> None:
        """See that the replica is of this record and not ahead of it, or build it anew.

        What is read must be of the record that beats are committed in, and not of one whose place it has taken.
        """
        place = await reading.place()
        if (await beating.place()).epoch != place.epoch:
            raise StoreUnavailable("two connections have led to two records")
        if self._wants_all or place.epoch != self._replica.epoch or place.number < self._replica.number:
            log.info("the replica is built anew, from change %d of %s", place.number, place.epoch)
            await asyncio.to_thread(self._build)
            self._wants_all = False
            self.registry.forget()
        self._acknowledged = 0

    def _build(self) -> None:
        with (
            Connection.connect(**self._parameters, autocommit=True) as connection,
            snapshot(connection) as whole,
        ):
            self._lease.end()
            self._replica.rebuild(whole)

    async def _watch(self, records: list[Record]) -> None:
        """When one of the connections owes an answer for too long, cut them all: whoever waits there then hears of it.

        Each is looked at by itself: where only long packets are lost, beats go on while nothing can be read.
        """
        sockets = [record.descriptor for record in records]
        while max(record.silent_ns() for record in records) <= self._followed.patience_s * 1e9:
            await asyncio.sleep(_AGAIN_S)
        for descriptor in sockets:
            _cut(descriptor)
        raise TimeoutError("the record does not answer")

    async def _beats(self, record: Record) -> None:
        while True:
            asked_ns = now_ns()
            await record.beat(self._node)
            self._asked_ns = asked_ns
            self._news.ring()
            await asyncio.sleep(self._node.lease_ms / 1000 / _BEATS_PER_LEASE)

    async def _reads(self, record: Record) -> None:
        tidy_ns = now_ns()
        while True:
            rings, asked_ns = self._news.rings, self._asked_ns
            await self._catch_up(record)
            if asked_ns:
                self._lease.grant(asked_ns, self._followed.lease_ns, self._replica.number)
                self.bell.ring()
            if now_ns() - tidy_ns > _TIDY_S * 1e9:
                self._replica.check()
                await asyncio.to_thread(self._replica.tidy)
                tidy_ns = now_ns()
            await self._news.heard(rings, POLL_S)

    async def _catch_up(self, record: Record) -> None:
        """Apply all there is. Raises Gap."""
        more = True
        while more:
            changes = await record.changes(self._replica.number)
            if not changes.follow(self._replica.number):
                raise Gap(f"after change {self._replica.number} come {changes.numbers[:3]}")
            if changes.numbers:
                self._replica.apply(changes)
                self._lease.apply(self._replica.number)
                self.bell.ring()
            more = len(changes.numbers) == PAGE

    async def _acknowledges(self, record: Record) -> None:
        while True:
            rings, number = self.bell.rings, self._lease.number
            if number > self._acknowledged:
                await self._confirm()
                await record.acknowledge(self._node.id, number)
                self._acknowledged = number
                self.registry.acknowledged(self._node.id, number)
                self.bell.ring()
            await self.bell.heard(rings, POLL_S)

    async def _listens(self, record: Record) -> None:
        async for channel, payload in record.heard():
            if channel == ACKNOWLEDGED:
                node_id, _, number = payload.partition(" ")
                self.registry.acknowledged(node_id, int(number))
                self.bell.ring()
            else:
                self._news.ring()

    async def _looks_at_nodes(self, record: Record) -> None:
        while True:
            rings, began_ns = self._looks.rings, now_ns()
            rows = await record.nodes()
            self.registry.looked(rows, began_ns, now_ns())
            self.bell.ring()
            for row in self.registry.forgotten(now_ns()):
                await record.forget(row)
            await self._looks.heard(rings, _LOOK_S)

    async def _records(self, stack: AsyncExitStack) -> list[Record]:
        """Three connections to one server. Where there are several, the second and third know which it is.

        Each would otherwise try the one that is gone first, and wait for it.
        """
        first = await stack.enter_async_context(await self._connection())
        place = {name: str(getattr(first.info, name)) for name in ("host", "hostaddr", "port")}
        there = {name: place[name] for name in place if name in self._parameters}
        others = [await stack.enter_async_context(await self._connection(there)) for _ in range(2)]
        return [Record(connection) for connection in (first, *others)]

    async def _connection(self, there: Mapping[str, str] = MappingProxyType({})) -> AsyncConnection[Any]:
        return await AsyncConnection.connect(**{**self._parameters, **there}, autocommit=True)


def _cut(descriptor: int) -> None:
    with suppress(OSError), socket.socket(fileno=descriptor) as held:
        try:
            held.shutdown(socket.SHUT_RDWR)
        finally:
            held.detach()
