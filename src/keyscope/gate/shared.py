"""The counts of several processes on one host, added up: each writes its own into a folder that all of them know.

A process writes once a second and at its end, into a file that nobody else writes, and puts it in place whole. What an
ended process counted stays, so that no number ever falls while the server runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from keyscope.authority.meter import Counts, Meter, added

log = logging.getLogger(__name__)

EVERY_S = 1.0

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Counts).decode


class SharedCounts:
    """This process's counts and the others'. ``folder`` is where they meet; without one there are no others."""

    def __init__(self, meter: Meter, folder: Path | None = None) -> None:
        self._meter = meter
        self.folder = folder
        self._mine = f"{os.getpid()}-{secrets.token_hex(4)}"

    def total(self) -> Counts:
        """What all processes have counted: this one until now, the others until at most a second ago."""
        return added([self._meter.counts(), *self._others()])

    def write(self) -> None:
        """Sort what was counted, and tell the others."""
        counts = self._meter.counts()
        if self.folder is not None:
            part = self.folder / f"{self._mine}.part"
            part.write_bytes(_encode(counts))
            part.replace(self.folder / f"{self._mine}.counts")

    def _others(self) -> list[Counts]:
        if self.folder is None:
            return []
        files = (file for file in self.folder.glob("*.counts") if file.stem != self._mine)
        return [_decode(file.read_bytes()) for file in files]


@contextlib.asynccontextmanager
async def told(shared: SharedCounts) -> AsyncIterator[None]:
    """Tell the others from the beginning to the end of the block."""
    telling = asyncio.create_task(_tell(shared))
    try:
        yield
    finally:
        telling.cancel()
        await asyncio.wait({telling})
        shared.write()


async def _tell(shared: SharedCounts) -> None:
    while True:
        await asyncio.sleep(EVERY_S)
        try:
            shared.write()
        except OSError as error:
            log.warning("the counts are not shared with the other workers: %s", error)
