"""How a process of the server is told to end: SIGTERM lets it drain first, SIGINT and the end of its parent do not.

A load balancer has to notice before the port is closed; a person at a terminal has not.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterable
from multiprocessing.connection import Connection
from typing import Any

DRAIN, STOP = signal.SIGTERM, signal.SIGINT


class Told:
    """Make it in the loop of the process's first thread. ``parent`` is readable when it has ended, or says so."""

    def __init__(self, parent: Connection | None) -> None:
        self._parent = parent
        self._drain = asyncio.Event()
        self._stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(DRAIN, self._drain.set)
        loop.add_signal_handler(STOP, self._stop.set)
        if parent is not None:
            loop.add_reader(parent.fileno(), self._parent_ended)

    async def first(self, others: Iterable[asyncio.Future[Any]]) -> None:
        """Returns when it is told anything, or one of the others is done."""
        await _any((self._drain, self._stop), others, None)

    async def to_stop(self, others: Iterable[asyncio.Future[Any]], after_s: float | None) -> None:
        """Returns when it is told to stop, one of the others is done, or after so many seconds; None: however long."""
        await _any((self._stop,), others, after_s)

    def _parent_ended(self) -> None:
        # It stays readable, and the loop would call this for ever.
        if self._parent is not None:
            asyncio.get_running_loop().remove_reader(self._parent.fileno())
        self._stop.set()


async def _any(events: Iterable[asyncio.Event], others: Iterable[asyncio.Future[Any]], after_s: float | None) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait({*waiting, *others}, timeout=after_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in waiting:
            task.cancel()
