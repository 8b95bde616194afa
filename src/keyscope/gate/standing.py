"""What was allowed is looked at again while it lasts, so that a revocation, an expiry or a narrowing ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from keyscope.errors import KeyscopeError
from keyscope.gate.faults import refused
from keyscope.wire.problem import Answer

T = TypeVar("T")

AGAIN_S = 0.5
"""How often it is looked at. A revocation ends what it covered within this time, and a moment."""


class Withdrawn(Exception):
    """What was allowed is allowed no longer; ``answer`` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("withdrawn")
        self.answer = answer


class Standing:
    """Waits for work as long as there is no objection. Trouble in asking is one (law 7)."""

    def __init__(self, objection: Callable[[], Answer | None]) -> None:
        self._objection = objection
        self._due = asyncio.get_running_loop().time() + AGAIN_S

    async def hold(self, work: Awaitable[T]) -> T:
        """The result of ``work``; it is cancelled and Withdrawn raised if the permission goes first.

        The time of the next look is kept from one call to the next, so a stream that never rests is looked at too.
        """
        working = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        try:
            while True:
                if loop.time() >= self._due:
                    self._look()
                    self._due = loop.time() + AGAIN_S
                done, _ = await asyncio.wait({working}, timeout=self._due - loop.time())
                if done:
                    return working.result()
        finally:
            working.cancel()

    def _look(self) -> None:
        try:
            objection = self._objection()
        except KeyscopeError as error:
            objection = refused(error)
        if objection is not None:
            raise Withdrawn(objection)
