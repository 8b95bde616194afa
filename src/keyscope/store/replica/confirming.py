"""Waiting for a change: the processes of a node ask their follower, over a Unix socket, who has it by now.

One line of JSON asks, one answers. The follower is asked only after the commit, so its time then is a time at which
the change was committed.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
from msgspec import Struct

from keyscope.authority.receipts import Pending, Receipt
from keyscope.errors import StoreUnavailable
from keyscope.store.replica.following import Follower
from keyscope.store.replica.lease import now_ns

_LOOK_NS = 1_000_000_000
"""For a look at the nodes, beyond the time that is given for their acknowledgements."""

_GRACE_S = 2.0
"""What the follower may take to answer beyond the time that it was given."""

_MOST_KEPT = 4096
"""Changes whose first question is remembered."""


class Question(Struct, frozen=True):
    """Wait at most so long until the change with this number is here; with an ``epoch``, at every node.

    The epoch says in which life of the database the change was committed: a record whose place was taken meanwhile
    knows nothing of who is with the new one. With ``known``, do not wait once the receipt has another tag.
    """

    number: int
    wait_ms: int
    epoch: str | None = None
    known: str | None = None


class Answered(Struct, frozen=True):
    """``receipt`` is None if only this node was asked for, or if nobody could be asked."""

    is_here: bool
    receipt: Receipt | None = None


_question = msgspec.json.Decoder(Question)
_answered = msgspec.json.Decoder(Answered)


class Confirmations:
    """In the process of the follower."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower
        self._since: dict[tuple[str, int], int] = {}
        """When each change was first asked about, the newest of them: it was committed by then."""

    async def answer(self, asked: Question) -> Answered:
        """Returns as soon as it is everywhere, or after the time."""
        end_ns = now_ns() + asked.wait_ms * 1_000_000
        if asked.epoch is None:
            return Answered(await self._is_here(asked.number, end_ns))
        receipt = await self._receipt(asked, asked.epoch, end_ns)
        return Answered(self._follower.number >= asked.number, receipt)

    def _committed_ns(self, epoch: str, number: int) -> int:
        """A time by which it was committed: always the same, so that who asks again sees the same leases end."""
        since_ns = self._since.setdefault((epoch, number), now_ns())
        if len(self._since) > _MOST_KEPT:
            del self._since[next(iter(self._since))]
        return since_ns

    async def _is_here(self, number: int, end_ns: int) -> bool:
        bell = self._follower.bell
        while (rings := bell.rings, self._follower.number)[1] < number and (at_ns := now_ns()) < end_ns:
            await bell.heard(rings, (end_ns - at_ns) / 1e9)
        return self._follower.number >= number

    async def _receipt(self, asked: Question, epoch: str, end_ns: int) -> Receipt | None:
        bell, registry = self._follower.bell, self._follower.registry
        since_ns = self._committed_ns(epoch, asked.number)
        self._follower.look()
        while True:
            rings, at_ns = bell.rings, now_ns()
            knows = self._follower.epoch == epoch and registry.knows(since_ns)
            receipt = self._now(asked.number, since_ns, at_ns) if knows else None
            if receipt is not None and (at_ns >= end_ns or _is_news(receipt, asked.known)):
                return receipt
            if at_ns >= end_ns + _LOOK_NS:
                return None
            await bell.heard(rings, 0.05)

    def _now(self, number: int, since_ns: int, at_ns: int) -> Receipt:
        standing = self._follower.registry.standing(number, since_ns, at_ns)
        unix_ms = time.time_ns() // 1_000_000
        return Receipt(
            epoch=self._follower.epoch,
            number=number,
            acknowledged=standing.acknowledged,
            closed=standing.closed,
            pending=tuple(
                Pending(name, unix_ms + (end_ns - at_ns) // 1_000_000 + 1) for name, end_ns in standing.pending
            ),
        )

    @contextlib.asynccontextmanager
    async def listening(self, path: Path) -> AsyncIterator[None]:
        """Answer at this path (short: at most 100 bytes)."""
        path.unlink(missing_ok=True)  # of a follower before this one
        server = await asyncio.start_unix_server(self._talk, path, backlog=1024)
        try:
            yield
        finally:
            server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, msgspec.DecodeError, ValueError):
            answered = await self.answer(_question.decode(await reader.readline()))
            writer.write(msgspec.json.encode(answered) + b"\n")
            await writer.drain()
        writer.close()


def _is_news(receipt: Receipt, known: str | None) -> bool:
    return not receipt.pending or known not in (None, receipt.tag)


class Confirmer:
    """In every other process of the node. May be used from any thread."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)

    def ask(self, question: Question) -> Answered:
        """Raises StoreUnavailable if the follower does not answer."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
                asking.settimeout(question.wait_ms / 1000 + _GRACE_S)
                asking.connect(self._path)
                asking.sendall(msgspec.json.encode(question) + b"\n")
                with asking.makefile("rb") as answer:
                    return _answered.decode(answer.readline())
        except (OSError, msgspec.DecodeError) as error:
            raise StoreUnavailable(f"the follower of this node does not answer: {error}") from error
