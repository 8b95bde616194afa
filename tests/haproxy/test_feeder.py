"""The feeder against a runtime socket that stops answering."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from keyscope.authority.copying import KeyReader, Keys, StoreKeys
from keyscope.gate.haproxy.bits import Bits
from keyscope.gate.haproxy.configuration import LEASE_MS
from keyscope.gate.haproxy.feeder import Feeder
from keyscope.gate.haproxy.files import NO_MAPS
from keyscope.gate.haproxy.record import Record
from keyscope.store.memory import MemoryStore
from keyscope.system import SystemClock

T = TypeVar("T")


class DeafSocket:
    """Does as HAProxy's runtime socket until it is told when the leave ends: that it takes, and never answers."""

    def __init__(self, number: int = 0, name: str = "number") -> None:
        self.until_ms = 0
        self._name = name
        self._there = 0
        self.left = asyncio.Event()
        self._number = number

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._there += 1
        self.left.clear()
        while command := (await reader.readline()).decode():
            if " until " in command:
                self.until_ms = int(command.split()[-1])
                await reader.read()
                break
            writer.write(self._said(command).encode() + b"\n> ")
        writer.close()
        await writer.wait_closed()
        self._there -= 1
        if not self._there:
            self.left.set()

    def _said(self, command: str) -> str:
        if command.startswith("show info"):
            return "Pid: 7\n"
        return f"0x1 until 0\n0x2 {self._name} {self._number}\n" if command.startswith("show map") else ""


async def _confirmed_after_ms(
    deaf: DeafSocket, on_too_much: Callable[[], None] = lambda: None, keys: Keys | None = None
) -> tuple[int, int]:
    """When a change was confirmed, and when the leave ends that was sent and not answered."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "haproxy.sock"
        async with await asyncio.start_unix_server(deaf, path):
            keys = keys or StoreKeys(MemoryStore(), LEASE_MS)
            record = Record(MemoryStore(), keys, None, {}, clock, None)
            feeder = Feeder(keys, Bits(["devboxes"]), path, Path(name), clock, record, on_too_much)
            feeder._unreached_until_ms = 0  # no feeder was before this one
            await feeder.confirm()
            confirmed_ms = clock.now_ms()
            await feeder.stop()
            await record.once()
            await deaf.left.wait()
            return confirmed_ms, deaf.until_ms


def test_a_leave_that_may_have_arrived_is_waited_for() -> None:
    confirmed_ms, until_ms = asyncio.run(_confirmed_after_ms(DeafSocket()))
    assert until_ms > LEASE_MS
    assert confirmed_ms >= until_ms


def test_where_leaves_are_shorter_than_the_patience_for_them_one_that_a_clock_has_lengthened_is_waited_for_too() -> (
    None
):
    keys = StoreKeys(MemoryStore(), LEASE_MS // 2)
    confirmed_ms, until_ms = asyncio.run(_confirmed_after_ms(DeafSocket(), keys=keys))
    assert confirmed_ms >= until_ms + LEASE_MS // 2


def test_without_maps_haproxy_gets_no_leave_and_new_maps_are_wanted() -> None:
    wanted: list[bool] = []
    _, until_ms = asyncio.run(_confirmed_after_ms(DeafSocket(NO_MAPS), lambda: wanted.append(True)))
    assert (until_ms, wanted) == (0, [True])


def test_with_maps_of_another_sequence_haproxy_gets_no_leave_and_new_maps_are_wanted() -> None:
    wanted: list[bool] = []
    deaf = DeafSocket(7, "number:of-another-build")
    _, until_ms = asyncio.run(_confirmed_after_ms(deaf, lambda: wanted.append(True)))
    assert (until_ms, wanted) == (0, [True])


class Slow(StoreKeys):
    """Where time goes by between the questions for the leave and for the keys, and longer leaves are to be had then."""

    def __init__(self) -> None:
        super().__init__(MemoryStore(), LEASE_MS)
        self.asked_ms = 0
        self._leave_ms = 300

    def leave_ms(self) -> int:
        self.asked_ms = SystemClock().now_ms()
        time.sleep(0.05)
        return self._leave_ms

    def read(self, work: Callable[[KeyReader], T]) -> T:
        self._leave_ms = LEASE_MS
        return super().read(work)


def test_a_leave_is_that_of_before_the_keys_were_read_and_begins_before_it_was_asked_for() -> None:
    keys = Slow()
    _, until_ms = asyncio.run(_confirmed_after_ms(DeafSocket(), keys=keys))
    assert keys.asked_ms - 200 < until_ms - 300 <= keys.asked_ms
