"""What HAProxy says on its stderr, as lines of our own log, each with the level that HAProxy gives it."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

log = logging.getLogger(__name__)

_LEVELS = {"NOTICE": logging.INFO, "WARNING": logging.WARNING, "ALERT": logging.ERROR, "EMERG": logging.ERROR}
_BEGINS = re.compile(r"\[([A-Z]+)\]\s+(?:\(\d+\) : )?(.*)", re.DOTALL)
_LONGEST_LINE = 1 << 16


@asynccontextmanager
async def heard() -> AsyncIterator[int]:
    """A descriptor for the stderr of one HAProxy after the other. At the end of the block all of it is in the log.

    A pipe of our own, not the subprocess's: a process of HAProxy that outlives its master for a while keeps it open,
    and nobody may wait for that.
    """
    ours, theirs = os.pipe()
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(ours, "rb", 0)
    )
    passing = asyncio.create_task(_pass_on(reader))
    try:
        yield theirs
    finally:
        os.close(theirs)
        await asyncio.wait({passing}, timeout=1)
        passing.cancel()
        transport.close()


async def _pass_on(reader: asyncio.StreamReader) -> None:
    level = logging.INFO
    while line := await _line(reader):
        level = _tell(line.decode("utf-8", "replace").rstrip(), level)


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # longer than any line of sense
        return b"...\n"


def _tell(text: str, before: int) -> int:
    """Log a line. One without a level belongs to the line before it. Returns its level."""
    begins = _BEGINS.fullmatch(text)
    level = _LEVELS.get(begins[1], logging.WARNING) if begins is not None else before
    if text:
        log.log(level, "%s", begins[2] if begins is not None else text)
    return level
