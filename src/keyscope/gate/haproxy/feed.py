"""All that keeps one HAProxy fed: its files, the changes, its leave, new maps when they are wanted, the record."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from keyscope.authority.copying import Keys, Point
from keyscope.authority.ports import Clock, Store
from keyscope.authority.recording import Recording
from keyscope.errors import KeyscopeError
from keyscope.gate.followers import following
from keyscope.gate.haproxy.feeder import Feeder
from keyscope.gate.haproxy.files import bits_of, write_fixed, write_keys, write_some_keys
from keyscope.gate.haproxy.record import Record
from keyscope.gate.haproxy.routes import rows
from keyscope.gate.upkeep import FirstUses
from keyscope.model.operation import Table

log = logging.getLogger(__name__)

_AGAIN_S = 0.5
_LOOK_S = 0.02
_TAKE_OVER_S = 10.0
_TRIES = 12


class Feed:
    """``directory`` holds HAProxy's maps, ``socket`` is its runtime socket. ``reload`` has it read the maps anew.

    Maps are made of ``keys``; what is written down goes into the store.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        clock: Clock,
        table: Table,
        directory: Path,
        socket: Path,
        reload: Callable[[], Awaitable[None]],
        recording: Recording | None,
        first_uses: FirstUses | None,
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._table = table
        self._directory = directory
        self._reload = reload
        self._bits = bits_of(table)
        self._wants_maps = asyncio.Event()
        judged = {row.needs: row for row in rows(table, self._bits)}
        self._record = Record(store, keys, recording, judged, clock, first_uses)
        self._feeder = Feeder(keys, self._bits, socket, directory, clock, self._record, self._wants_maps.set)

    def write_to_start(self) -> None:
        """Write what HAProxy needs to serve soon. If there are many keys, it gets their maps when it runs."""
        write_fixed(self._directory, self._table)
        now_ms = self._clock.now_ms()
        self._keys.read(lambda reader: write_some_keys(self._directory, reader, self._bits, now_ms))

    def write(self) -> None:
        """Write everything. Raises StoreUnavailable."""
        write_fixed(self._directory, self._table)
        self._write_keys()

    async def run(self, followed: Path, at: Path) -> None:
        """Feed until cancelled. ``followed`` is the folder of the followers, ``at`` a socket for those who confirm."""
        async with following(followed, at, self._feeder.confirm):
            works = (self._feeder.follow(), self._renew(), self._record.for_ever(), self._record.uses_for_ever())
            tasks = [asyncio.create_task(work) for work in works]
            try:
                await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                await self._feeder.stop()
                await self._record.once()
                await self._record.write_uses()

    async def _renew(self) -> None:
        """Give HAProxy new maps when they are wanted: a process with them takes over, and no request is dropped."""
        while True:
            await self._wants_maps.wait()
            try:
                await self._give_new_maps()
            except KeyscopeError as error:
                log.error("HAProxy gets no new maps: %s", error.detail)
            await asyncio.sleep(_AGAIN_S)
            self._wants_maps.clear()

    async def _give_new_maps(self) -> None:
        point = await asyncio.to_thread(self._write_keys)
        await self._feeder.rest()
        await self._record.once()
        for _ in range(_TRIES):
            await self._reload()
            if await self._are_taken(point):
                break
        else:
            log.error("HAProxy did not take its new maps")
        self._feeder.wake()

    async def _are_taken(self, point: Point) -> bool:
        """Whether a process with maps that are true up to this point comes in time. A reload may go unheard."""
        loop = asyncio.get_running_loop()
        end = loop.time() + _TAKE_OVER_S
        while loop.time() < end:
            if self._feeder.has_fed_since(point):
                return True
            await asyncio.sleep(_LOOK_S)
        return False

    def _write_keys(self) -> Point:
        now_ms = self._clock.now_ms()
        return self._keys.read(lambda reader: write_keys(self._directory, reader, self._bits, now_ms))
