"""Make durable what was counted, every second and once more at the end, beside the thread that judges."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from keyscope.authority.counters import Counters
from keyscope.errors import CountersUnavailable

log = logging.getLogger(__name__)

EVERY_S = 1.0


@asynccontextmanager
async def tidied(counters: Counters | None) -> AsyncIterator[None]:
    """From the beginning to the end of the block, at which the counters are closed. Without counters: nothing."""
    if counters is None:
        yield
        return
    tidying = asyncio.create_task(_tidy(counters))
    try:
        yield
    finally:
        tidying.cancel()
        await asyncio.wait({tidying})
        await asyncio.to_thread(_once, counters)
        counters.close()


async def _tidy(counters: Counters) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        await asyncio.to_thread(_once, counters)


def _once(counters: Counters) -> None:
    try:
        counters.tidy()
    except CountersUnavailable as error:
        log.error("the counters cannot be used: %s", error.detail)
