"""One HAProxy process, as its feeder sees it: how to reach it, how far it is true, and what it has counted."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from keyscope.authority.copying import Point
from keyscope.gate.haproxy.calls import Calls
from keyscope.gate.haproxy.refusals import Refusals
from keyscope.gate.haproxy.runtime import Away, Runtime


class Process:
    """``until_ms`` is the end of its leave. It goes on living until its connections are closed."""

    def __init__(self, runtime: Runtime, counted: Runtime, identity: int, point: Point, calls: Calls) -> None:
        self.runtime = runtime
        self.counted = counted
        """For the table of calls, because the answer can be long and changes must not wait behind it."""
        self.identity = identity
        self.point = self.began_at = point
        self.calls = calls
        self.until_ms = 0
        self.told = 0
        self.is_old = False
        """Whether a newer process has taken over the socket."""
        self.rests = False
        """Whether it is to ask about everything for now."""
        self.is_leaving = False
        """Whether it judges nothing any more: what it has counted is read once more, and then it is left alone."""
        self._hearing: asyncio.Task[None] | None = None

    def hear(self, runtime: Runtime, refusals: Refusals) -> None:
        """Hear of its refusals over a connection for this alone."""
        self._hearing = asyncio.create_task(_hear(runtime, refusals))

    def close(self) -> None:
        """Let go of it."""
        self.runtime.close()
        self.counted.close()
        if self._hearing is not None:
            self._hearing.cancel()


async def connected(socket: Path, maps: Path, count: int) -> tuple[int, list[Runtime]]:
    """So many connections to the process behind the socket, and its number. Raises Away, also in a reload."""
    runtimes: list[Runtime] = []
    try:
        while len(runtimes) < count:
            runtimes.append(await Runtime.connect(socket, maps))
        found = {await runtime.process() for runtime in runtimes}
        if len(found) > 1:
            raise Away("another process is taking over")
        return found.pop(), runtimes
    except Away:
        for runtime in runtimes:
            runtime.close()
        raise


async def _hear(runtime: Runtime, refusals: Refusals) -> None:
    try:
        with suppress(Away):
            async for line in runtime.refusals():
                refusals.heard(line)
    finally:
        runtime.close()
