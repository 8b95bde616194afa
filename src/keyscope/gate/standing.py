"""What was allowed is looked at again while it lasts, so that a revocation, an expiry or a narrowing ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from keyscope.errors import KeyscopeError
from keyscope.gate.faults import refused
from keyscope.wire.problem import Answer

AGAIN_S = 0.5
"""How often it is looked at. A revocation ends what it covered within this time, and a moment."""


class Withdrawn(Exception):
    """What was allowed is allowed no longer; ``answer`` says why."""

    def __init__(self, answer: Answer) -> None:
        super().__init__("withdrawn")
        self.answer = answer


class Standing:
    """A permission, as long as there is no objection. Trouble in asking is one (law 7)."""

    def __init__(self, objection: Callable[[], Answer | None]) -> None:
        self._objection = objection
        self._now_s = asyncio.get_running_loop().time
        self._due_s = self._now_s() + AGAIN_S

    async def until_any(self, tasks: set[asyncio.Future[Any]]) -> None:
        """Return when one of these is done. Raises Withdrawn if the permission goes first; the tasks go on then.

        The time of the next look is kept from one call to the next.
        """
        while True:
            left_s = max(0.0, self._due_s - self._now_s())
            done, _ = await asyncio.wait(tasks, timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
            if done:
                return
            self._look()

    def _look(self) -> None:
        self._due_s = self._now_s() + AGAIN_S
        try:
            objection = self._objection()
        except KeyscopeError as error:
            objection = refused(error)
        if objection is not None:
            raise Withdrawn(objection)
