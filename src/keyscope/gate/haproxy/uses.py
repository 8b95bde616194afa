"""When keys were last used, as HAProxy saw it: read now and then, and written down as the built-in gate does.

Without it a key in daily use would look idle. Losing some of it is no fault.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from keyscope.authority.ports import Clock, Store
from keyscope.errors import KeyscopeError
from keyscope.gate.haproxy.runtime import Away, Runtime

log = logging.getLogger(__name__)

EVERY_S = 5.0


class Uses:
    """Over a connection of its own, because the answer can be long and changes must not wait behind it."""

    def __init__(self, store: Store, socket: Path, maps: Path, clock: Clock) -> None:
        self._store = store
        self._socket = socket
        self._maps = maps
        self._clock = clock
        self._seen_ms: dict[str, int] = {}

    async def record_for_ever(self) -> None:
        """Record until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self.record()

    async def record(self) -> None:
        """Write down what is new since the last time."""
        try:
            used = await self._read()
            new = {key_id: at_ms for key_id, at_ms in used.items() if at_ms > self._seen_ms.get(key_id, 0)}
            if new:
                await asyncio.to_thread(self._store.write, lambda writer: writer.record_use(new))
            self._seen_ms = used
        except Away as error:
            log.debug("HAProxy does not say which keys were used: %s", error)
        except KeyscopeError as error:
            log.warning("last uses were not recorded: %s", error.detail)

    async def _read(self) -> dict[str, int]:
        runtime = await Runtime.connect(self._socket, self._maps)
        try:
            now_ms = self._clock.now_ms()
            return {key_id: now_ms - ago_ms for key_id, ago_ms in (await runtime.used()).items()}
        finally:
            runtime.close()
