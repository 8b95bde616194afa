"""What HAProxy let through and refused, written down as the built-in gate does: every half second and at the end.

A crash may lose what was not read yet, which is less than a second. A reload and an orderly end lose nothing: a process
is read once more after its leave was taken back, before its connections are closed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from keyscope.authority.copying import Keys
from keyscope.authority.ports import Clock, Store
from keyscope.authority.recording import Recording
from keyscope.errors import AuditUnavailable, KeyscopeError
from keyscope.gate.haproxy.calls import Calls
from keyscope.gate.haproxy.process import Process
from keyscope.gate.haproxy.refusals import Refusals
from keyscope.gate.haproxy.routes import Row
from keyscope.gate.haproxy.runtime import Away, Runtime
from keyscope.gate.upkeep import FirstUses, write_uses

log = logging.getLogger(__name__)

EVERY_S = 0.5
USES_EVERY_S = 5.0
"""When keys were last used goes into the database of the keys. It may be away, and the audit trail does not wait."""


class Record:
    """Of all processes of one HAProxy. Without a recording only last uses are written down, which go into the store.

    ``first_uses`` is told of keys that were never used before.
    """

    def __init__(
        self,
        store: Store,
        keys: Keys,
        recording: Recording | None,
        rows: Mapping[int, Row],
        clock: Clock,
        first_uses: FirstUses | None,
    ) -> None:
        self._store = store
        self._first_uses = first_uses
        self._recording = recording
        self._rows = rows
        self._clock = clock
        self._refusals = Refusals(keys, rows)
        self._processes: list[Process] = []
        self._calls: dict[int, Calls] = {}
        self._used_at_ms: dict[str, int] = {}
        self._turn = asyncio.Lock()
        """One reading at a time: that before a reload, or at the end, may meet the periodic one."""

    def works(self) -> bool:
        """Whether what HAProxy does can be written down."""
        try:
            if self._recording is not None:
                self._recording.check()
        except AuditUnavailable:
            return False
        return True

    def calls_of(self, identity: int) -> Calls:
        """The counts of a process, also of one that was lost and found again."""
        return self._calls.setdefault(identity, Calls(self._rows))

    def begin(self, process: Process, heard: Runtime) -> None:
        """Record what a process does, until it has left."""
        process.hear(heard, self._refusals)
        self._processes.append(process)

    async def for_ever(self) -> None:
        """Record until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            # Never left in the middle: what was read and not written yet would be missing.
            await asyncio.shield(self.once())

    async def uses_for_ever(self) -> None:
        """Write down last uses until cancelled."""
        while True:
            await asyncio.sleep(USES_EVERY_S)
            await asyncio.shield(self.write_uses())

    async def once(self) -> None:
        """Read what is new, and write it into the audit trail."""
        async with self._turn:
            for process in list(self._processes):
                await self._read(process)
            try:
                if self._recording is not None:
                    await self._write(self._recording)
            except KeyscopeError as error:
                log.error("what HAProxy did is not written down yet: %s", error.detail)

    async def _read(self, process: Process) -> None:
        try:
            counts = await process.calls.read(process.counted, self._clock.now_ms())
        except Away as error:
            log.warning("HAProxy does not say what it has let through: %s", error)
            process.is_leaving = True
        else:
            self._used_at_ms |= process.calls.used_at_ms
            process.calls.used_at_ms = {}
            for count in counts:
                if self._recording is not None:
                    self._recording.ledger.add_calls(count)
        if process.is_leaving:
            process.close()
            self._processes.remove(process)

    async def _write(self, recording: Recording) -> None:
        self._refusals.add_to(recording.ledger, self._clock.now_ms())
        await asyncio.to_thread(recording.write, recording.take())

    async def write_uses(self) -> None:
        """Write down when keys were last used, as far as it was read. What cannot be written now is later."""
        used, self._used_at_ms = self._used_at_ms, {}
        if not used:
            return
        try:
            await asyncio.to_thread(write_uses, self._store, used, self._first_uses)
        except KeyscopeError as error:
            self._used_at_ms = used | self._used_at_ms
            log.error("last uses of keys are not written down yet: %s", error.detail)
