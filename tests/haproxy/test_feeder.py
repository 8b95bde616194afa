"""The feeder against a runtime socket that stops answering."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from keyscope.gate.haproxy.bits import Bits
from keyscope.gate.haproxy.configuration import LEASE_MS
from keyscope.gate.haproxy.feeder import Feeder
from keyscope.store.memory import MemoryStore
from keyscope.system import SystemClock


class DeafSocket:
    """Does as HAProxy's runtime socket until it is told when the leave ends: that it takes, and never answers."""

    def __init__(self) -> None:
        self.until_ms = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while command := (await reader.readline()).decode():
            if " until " in command:
                self.until_ms = int(command.split()[-1])
                await reader.read()
                break
            writer.write(_said(command).encode() + b"\n> ")
        writer.close()


def _said(command: str) -> str:
    if command.startswith("show info"):
        return "Pid: 7\n"
    return "0x1 until 0\n0x2 number 0\n" if command.startswith("show map") else ""


async def _confirmed_after_ms() -> tuple[int, int]:
    """When a change was confirmed, and when the leave ends that was sent and not answered."""
    clock, deaf = SystemClock(), DeafSocket()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "haproxy.sock"
        async with await asyncio.start_unix_server(deaf, path):
            feeder = Feeder(MemoryStore(), Bits(["devboxes"]), path, Path(name), clock, lambda: None)
            feeder._unreached_until_ms = 0  # no feeder was before this one
            await feeder.confirm()
            return clock.now_ms(), deaf.until_ms


def test_a_leave_that_may_have_arrived_is_waited_for() -> None:
    confirmed_ms, until_ms = asyncio.run(_confirmed_after_ms())
    assert until_ms > LEASE_MS
    assert confirmed_ms >= until_ms
