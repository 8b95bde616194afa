"""Write down what was judged, every half second and once more at the end: what a crash may lose is less than a second.

Nothing is lost by an orderly end, because the last writing comes after the last answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
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
    writing = _Writing(verifier, recording)
    periodic = asyncio.create_task(writing.for_ever())
    try:
        yield
    finally:
        periodic.cancel()
        await asyncio.wait({periodic})
        for _ in range(2):  # the first may be what earlier trouble, or a writing under way, had left
            await writing.once()


class _Writing:
    """Logs the beginning and the end of trouble, not each half second of it."""

    def __init__(self, verifier: Verifier, recording: Recording) -> None:
        self._verifier = verifier
        self._recording = recording
        self._failing = False

    async def for_ever(self) -> None:
        """Until cancelled."""
        while True:
            await self.once()
            await asyncio.sleep(EVERY_S)

    async def once(self) -> None:
        taken = self._recording.take()
        try:
            used = await asyncio.to_thread(self._recording.write, taken)
        except Exception as error:
            if not self._failing:
                detail = error.detail if isinstance(error, KeyscopeError) else repr(error)
                log.error("the audit trail cannot be written; what was judged is kept: %s", detail)
            self._failing = True
        else:
            self._verifier.used.update(used)
            if self._failing:
                log.warning("the audit trail is written again; nothing is missing from it")
            self._failing = False
