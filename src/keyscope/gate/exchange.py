"""One request body and the caller behind it: chunks as they come, and notice when the caller goes away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from keyscope.errors import UpstreamFailure
from keyscope.gate.standing import Standing
from keyscope.wire.asgi import Receive

T = TypeVar("T")

# Granian 2.8 says that a caller is gone who is there, and says so ever after, if somebody waited for that word at the
# moment when the head of the answer went out (under load, in one of fifteen streamed answers; what is sent then still
# arrives). So nobody waits for it at first, until the upstream is slow to answer, and the last of an answer gets a
# moment more.
_BEFORE_THE_HEAD_S = 1.0
_GRACE_S = 0.5


class CallerGone(Exception):
    """The caller closed the connection, sent a malformed body, or went silent in the middle of it."""


class Exchange:
    """Reads from ASGI's ``receive``, which gives first the body and then the disconnect.

    ``standing`` is what the caller was allowed: all that is waited for ends when that does.
    """

    def __init__(self, receive: Receive, standing: Standing, idle_timeout_s: float) -> None:
        self._receive = receive
        self._standing = standing
        self._idle_s = idle_timeout_s
        self._first: bytes | None = None
        self._ended = asyncio.Event()
        self.failure: UpstreamFailure | None = None
        """What went wrong on the way to the upstream."""
        self.broken = False
        """Whether the caller failed to send a whole body."""

    @classmethod
    def after_body(cls, receive: Receive, standing: Standing, idle_timeout_s: float) -> Exchange:
        """For a request whose body has been read already."""
        exchange = cls(receive, standing, idle_timeout_s)
        exchange._ended.set()
        return exchange

    async def has_body(self) -> bool:
        """Whether the request carries a body. Reads its first chunk."""
        self._first = await self._chunk()
        return bool(self._first) or not self._ended.is_set()

    async def body(self) -> AsyncIterator[bytes]:
        """The chunks of the body. Raises CallerGone if it is cut off, so that a part never looks like the whole."""
        if self._first:
            yield self._first
        while not self._ended.is_set():
            chunk = await self._chunk()
            if chunk:
                yield chunk

    async def gone(self, after_s: float = 0) -> None:
        """Returns when the caller has gone, after the body has been read. It begins to listen after so many seconds."""
        await self._ended.wait()
        await asyncio.sleep(after_s)
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def head(self, work: Awaitable[T]) -> T:
        """The result of ``work``, from which the head of the answer comes; as ``unless_gone``, a second later."""
        return await self.unless_gone(work, _BEFORE_THE_HEAD_S)

    async def unless_gone(self, work: Awaitable[T], after_s: float = 0) -> T:
        """The result of ``work``. If the caller or the permission goes first, it is cancelled.

        Raises CallerGone and Withdrawn.
        """
        working = asyncio.ensure_future(work)
        going = asyncio.ensure_future(self.gone(after_s))
        try:
            await self._standing.until_any({working, going})
            if not working.done():
                await asyncio.wait({working}, timeout=_GRACE_S)
            if not working.done():
                raise CallerGone("the caller went away")
            return working.result()
        finally:
            for task in (working, going):
                task.cancel()

    async def _chunk(self) -> bytes:
        try:
            async with asyncio.timeout(self._idle_s):
                message = await self._receive()
        except TimeoutError:
            self.broken = True
            raise CallerGone("the body stopped coming") from None
        if message["type"] == "http.disconnect":
            self.broken = True
            raise CallerGone("the body was cut off")
        if not message.get("more_body", False):
            self._ended.set()
        body: bytes = message.get("body", b"")
        return body
