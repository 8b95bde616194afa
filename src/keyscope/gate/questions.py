"""What a process does not know of own things is asked beside the event loop: all that waits, in one question.

So a ledger that hangs holds one thread, however many calls wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import chain

from msgspec import Struct

from keyscope.authority.things import Owners, Thing, Things


class _Question(Struct, frozen=True):
    things: Sequence[Thing]
    answer: asyncio.Future[Owners]


class Questions:
    """To one ledger, in one event loop."""

    def __init__(self, things: Things) -> None:
        self._things = things
        self._waiting: dict[str, list[_Question]] = {}
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, account_id: str, things: Sequence[Thing]) -> Owners:
        """Whose own each of these is, and maybe of others. Raises StoreUnavailable."""
        question = _Question(things, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(account_id, []).append(question)
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask_all())
        return await question.answer

    async def _ask_all(self) -> None:
        while self._waiting:
            account_id = next(iter(self._waiting))
            await self._ask(account_id, self._waiting.pop(account_id))

    async def _ask(self, account_id: str, together: Sequence[_Question]) -> None:
        things = list(dict.fromkeys(chain.from_iterable(question.things for question in together)))
        try:
            owners = await asyncio.to_thread(self._things.owners, account_id, things)
        except Exception as error:  # whatever it is, nobody is to wait for ever
            for question in together:
                _settle(question.answer, error)
        else:
            for question in together:
                _settle(question.answer, owners)


def _settle(answer: asyncio.Future[Owners], found: Owners | Exception) -> None:
    if answer.done():
        return  # its caller has gone
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
