"""A bell in one event loop: whoever waits for something to change hears it ring, and looks."""

from __future__ import annotations

import asyncio
from contextlib import suppress


class Bell:
    """Rings for all that listen. One that rings between a look and ``heard`` is not missed: the count tells."""

    def __init__(self) -> None:
        self.rings = 0
        self._event = asyncio.Event()

    def ring(self) -> None:
        self.rings += 1
        self._event.set()
        self._event = asyncio.Event()

    async def heard(self, rings: int, timeout_s: float) -> None:
        """Return at once if it has rung since ``rings`` was its count; else when it rings, or after the time."""
        if self.rings == rings:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, timeout_s)):
                    await self._event.wait()
