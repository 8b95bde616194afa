"""Deliver what is in the outbox: one process of a host at a time, each endpoint on its own.

Which process does it is settled by a lock on a file, which goes with the process however that ends. The next one goes
on from the outbox: what was not known to be taken is sent again, with the same id.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import groupby
from pathlib import Path

from msgspec import Struct

from keyscope.authority.meter import Meter
from keyscope.authority.ports import Clock
from keyscope.authority.webhooks import Delivery, Outbox, wait_ms
from keyscope.errors import KeyscopeError
from keyscope.webhooks.making import Making
from keyscope.webhooks.sending import Outcome, Sender, sender
from keyscope.webhooks.signing import Sealer

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5
LOCK_EVERY_S = 2.0
AT_ONCE = 50
TAKEN, FAILED, DEAD = "taken", "failed", "dead"


class Limits(Struct, frozen=True):
    """``targets`` is where messages may go, ``first_wait_ms`` the wait after the first try, ``tries`` the most."""

    targets: str
    first_wait_ms: int
    tries: int


class Deliverer:
    """Delivers for one host while it holds the lock."""

    def __init__(
        self, making: Making, outbox: Outbox, sealer: Sealer, clock: Clock, limits: Limits, meter: Meter
    ) -> None:
        self._making = making
        self._outbox = outbox
        self._sealer = sealer
        self._now_ms = clock.now_ms
        self._limits = limits
        self._meter = meter
        self._busy: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Until cancelled. Trouble with the store is logged and tried again."""
        async with sender(self._limits.targets) as sending:
            try:
                while True:
                    try:
                        await self._round(sending)
                    except KeyscopeError as error:
                        log.error("webhooks wait: %s", error.detail)
                    await asyncio.sleep(LOOK_EVERY_S)
            finally:
                await self._stop()

    async def _round(self, sending: Sender) -> None:
        while await asyncio.to_thread(self._making.once):
            pass
        due = await asyncio.to_thread(self._outbox.due, self._now_ms(), AT_ONCE)
        due.sort(key=lambda delivery: (delivery.endpoint.id, delivery.number))
        self._busy = {endpoint_id: task for endpoint_id, task in self._busy.items() if not task.done()}
        for endpoint_id, deliveries in groupby(due, key=lambda delivery: delivery.endpoint.id):
            if endpoint_id not in self._busy:
                self._busy[endpoint_id] = asyncio.create_task(self._deliver(sending, list(deliveries)))

    async def _deliver(self, sending: Sender, deliveries: list[Delivery]) -> None:
        """Oldest first. After a failure the rest waits for the next round, so a hanging one costs one try."""
        for delivery in deliveries:
            try:
                secret = self._sealer.open(delivery.endpoint.id, delivery.endpoint.sealed)
                outcome = await sending.send(delivery, secret)
                await asyncio.to_thread(self._note, delivery, outcome)
            except KeyscopeError as error:
                log.error("a webhook is not delivered: %s", error.detail)
                return
            if not outcome.taken:
                return

    def _note(self, delivery: Delivery, outcome: Outcome) -> None:
        if outcome.taken:
            self._meter.delivered(TAKEN)
            return self._outbox.delivered(delivery)
        tries, now_ms = delivery.tries + 1, self._now_ms()
        dead = not outcome.again or tries >= self._limits.tries
        self._meter.delivered(DEAD if dead else FAILED)
        due_ms = now_ms + wait_ms(self._limits.first_wait_ms, tries, random.random(), outcome.wait_ms)  # noqa: S311
        log.info("webhook %s to %s: %s, try %d", delivery.id, delivery.endpoint.id, outcome.said, tries)
        return self._outbox.failed(delivery, outcome.said, due_ms, now_ms if dead else None)

    async def _stop(self) -> None:
        """Let go: what is on its way will be sent again, which at least once allows."""
        for task in self._busy.values():
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)


@asynccontextmanager
async def delivering(deliverer: Deliverer, lock: Path | None) -> AsyncIterator[None]:
    """Deliver from the beginning to the end of the block, whenever no other process does. None: there is no other."""
    running = asyncio.create_task(_in_turn(deliverer, lock))
    try:
        yield
    finally:
        running.cancel()
        await asyncio.wait({running})


async def _in_turn(deliverer: Deliverer, lock: Path | None) -> None:
    while True:
        with _held(lock) as mine:
            if mine:
                await deliverer.run()
        await asyncio.sleep(LOCK_EVERY_S)


@contextmanager
def _held(lock: Path | None) -> Iterator[bool]:
    """Whether the lock is ours, for the time of the block."""
    if lock is None:
        yield True
        return
    descriptor = os.open(lock, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        yield False
        return
    try:
        yield True
    finally:
        os.close(descriptor)
