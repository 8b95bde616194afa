"""Write down what was judged, every half second and once more at the end: what a crash may lose is less than a second.

Nothing is lost by an orderly end, because the last writing comes after the last answer. Changes are copied beside it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from keyscope.authority.recording import Recording
from keyscope.authority.verify import Verifier
from keyscope.errors import KeyscopeError

log = logging.getLogger(__name__)

EVERY_S = 0.5


@asynccontextmanager
async def written_down(verifier: Verifier, recording: Recording | None) -> AsyncIterator[None]:
    """From the beginning to the end of the block, in the thread that judges. Without a recording: nothing."""
    if recording is None:
        yield
        return
    writing = _Again(
        lambda: _write(verifier, recording),
        fails="the audit trail cannot be written; what was judged is kept",
        works="the audit trail is written again; nothing is missing from it",
    )
    copying = _Again(
        lambda: asyncio.to_thread(recording.copy),
        fails="changes cannot be copied into the audit trail now",
        works="changes are copied into the audit trail again; nothing is missing from it",
    )
    works = (writing, copying) if recording.copies else (writing,)
    periodic = {asyncio.create_task(work.for_ever()) for work in works}
    try:
        yield
    finally:
        for task in periodic:
            task.cancel()
        await asyncio.wait(periodic)
        for _ in range(2):  # the first may be what earlier trouble, or a writing under way, had left
            await writing.once()


async def _write(verifier: Verifier, recording: Recording) -> None:
    verifier.used.update(await asyncio.to_thread(recording.write, recording.take()))


class _Again:
    """Does something again and again. Logs the beginning and the end of trouble, not each half second of it."""

    def __init__(self, work: Callable[[], Awaitable[None]], fails: str, works: str) -> None:
        self._work = work
        self._fails = fails
        self._works = works
        self._failing = False

    async def for_ever(self) -> None:
        """Until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(EVERY_S)

    async def once(self) -> None:
        try:
            await self._work()
        except Exception as error:
            if not self._failing:
                detail = error.detail if isinstance(error, KeyscopeError) else repr(error)
                log.error("%s: %s", self._fails, detail)
            self._failing = True
        else:
            if self._failing:
                log.warning("%s", self._works)
            self._failing = False
