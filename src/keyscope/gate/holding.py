"""Calls that are held: kept instead of sent on, and sent when somebody has approved them, or their time has come.

When its time has come a call is judged once more, as of then: a key that was revoked meanwhile makes no call. It is
then counted, recorded, sent and looked at as any other, but nobody waits for the answer, which is kept.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

import aiohttp
from msgspec import Struct

from keyscope.authority.holds import Asked, Given, Holds, Request
from keyscope.authority.settling import RUN_MS
from keyscope.authority.verify import Verifier
from keyscope.errors import KeyscopeError, NoUpstream, UpstreamFailure
from keyscope.gate.admit import is_judged_by_body, let_through, look, over, second_look
from keyscope.gate.headers import inward
from keyscope.gate.sight import Sight, judged
from keyscope.model.decision import Allow
from keyscope.model.event import Origin
from keyscope.model.held import Held, HeldState, Terms
from keyscope.wire.asgi import Message, Send
from keyscope.wire.call import Call, request_id
from keyscope.wire.codec import decode_strict, encode
from keyscope.wire.held import held_view
from keyscope.wire.problem import NO_STORE, Answer

log = logging.getLogger(__name__)

EVERY_S = 1.0
MOST_KEPT = 262_144
"""Bytes of an answer that are kept."""
_AT_ONCE = 16
_DRAIN_S = 10.0
_TRIES = 10
_OURS = (b"x-keyscope-", b"content-length")

SendHeld = Callable[[Call, Allow, bytes, Send], Awaitable[UpstreamFailure | None]]
"""Sends a call that was let through, and returns what went wrong on the way to the API, if anything did."""


class End(Struct, frozen=True):
    """What became of a call."""

    state: HeldState
    reason: str | None = None
    given: Given | None = None


class Collected:
    """The beginning of an answer, as ASGI messages bring it."""

    def __init__(self) -> None:
        self._status: int | None = None
        self._type = b""
        self._body = bytearray()
        self._is_over = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._type = next((value for name, value in message["headers"] if name == b"content-type"), b"")
            return
        self._body += message.get("body", b"")[: max(0, MOST_KEPT + 1 - len(self._body))]
        self._is_over = not message.get("more_body", False)

    @property
    def given(self) -> Given | None:
        """None if not even a status came."""
        if self._status is None:
            return None
        is_whole = self._is_over and len(self._body) <= MOST_KEPT
        return Given(self._status, self._type.decode("latin-1"), bytes(self._body[:MOST_KEPT]), is_whole)


class Holding:
    """Holds calls. For the event loop of the verifier."""

    def __init__(self, holds: Holds) -> None:
        self._holds = holds

    async def hold(self, call: Call, allow: Allow, terms: Terms, body: bytes) -> Answer:
        """Keep a call with the body that is to go on. The answer is 202, and says where to look. Raises TooManyHeld."""
        lineage, route = allow.lineage, allow.access.route
        asked = Asked(
            operation=route.id if route is not None else "",
            method=call.method,
            target=call.target,
            request=Request(_kept(call, allow), body, call.peer),
            request_id=request_id(call.headers),
        )
        origin = Origin(lineage.chain, call.peer, asked.request_id)
        return told(await asyncio.to_thread(self._holds.hold, lineage, asked, terms, origin))


def _kept(call: Call, allow: Allow) -> list[tuple[bytes, bytes]]:
    """The fields that go on, of which none is a credential of the caller's or says who calls."""
    fields = inward(call.headers, allow.lineage.key, None)
    kept = [(name.encode("latin-1"), value.encode()) for name, value in fields]
    return [(name, value) for name, value in kept if not name.startswith(_OURS)]


def told(held: Held) -> Answer:
    """The answer to a call that is held."""
    body = encode(held_view(held))
    length = (b"content-length", str(len(body)).encode())
    return Answer(202, ((b"content-type", b"application/json"), length, NO_STORE), body)


class HoldRunner:
    """Does what is due, in one process. Several processes may: each call is claimed by one."""

    def __init__(self, verifier: Verifier, holds: Holds, sight: Sight, send: SendHeld) -> None:
        self._verifier = verifier
        self._holds = holds
        self._sight = sight
        self._send = send
        self._wake = asyncio.Event()
        self._running: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the beginning to the end of the block. What is being sent at the end is waited for, for some seconds."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            loop.call_soon_threadsafe(self._wake.set)

        self._holds.wake = wake
        looking = asyncio.create_task(self._for_ever())
        try:
            yield
        finally:
            looking.cancel()
            if self._running:
                await asyncio.wait(self._running.values(), timeout=_DRAIN_S)

    async def look(self) -> None:
        """Begin what is due and not begun here."""
        for held in await asyncio.to_thread(self._holds.due):
            if len(self._running) >= _AT_ONCE:
                return
            if held.id not in self._running:
                task = asyncio.create_task(self.settle(held.id))
                self._running[held.id] = task
                task.add_done_callback(lambda _, held_id=held.id: self._running.pop(held_id))  # type: ignore[misc]

    async def settle(self, held_id: str) -> None:
        """Do what is due about one call: send it, if nobody else does, and write down what became of it."""
        try:
            held = await asyncio.to_thread(self._holds.claim, held_id)
        except KeyscopeError as error:
            log.error("a held call was not claimed: %s", error.detail)
            return
        if held is not None:
            await self._write_down(held, await self._carry_out(held))

    async def _for_ever(self) -> None:
        while True:
            try:
                await self.look()
            except KeyscopeError as error:
                log.error("held calls were not looked for: %s", error.detail)
            try:
                async with asyncio.timeout(EVERY_S):
                    await self._wake.wait()
            except TimeoutError:
                continue
            self._wake.clear()

    async def _carry_out(self, held: Held) -> End:
        try:
            async with asyncio.timeout(RUN_MS / 1000):
                return await self._judge_and_send(held)
        except Exception as error:  # whatever it was, the call is never sent again
            log.error("a held call broke off", exc_info=error)
            return End(HeldState.UNKNOWN, "it broke off while it was being sent")

    async def _judge_and_send(self, held: Held) -> End:
        path, _, query = held.target.partition("?")
        try:
            request = await asyncio.to_thread(self._holds.request, held)
            call = Call(method=held.method, path=path, query=query.encode(), headers=request.headers, peer=request.peer)
            admitted = await self._admit(held, call, request.body)
        except KeyscopeError as error:
            return End(HeldState.FAILED, error.message)
        if isinstance(admitted, str):
            return End(HeldState.DENIED, admitted)
        try:
            return await self._sent(call, admitted, request.body)
        finally:
            over(self._verifier, admitted)

    async def _admit(self, held: Held, call: Call, body: bytes) -> Allow | str:
        """The permission as of now, or why there is none. Raises Unavailable: then nothing was sent."""
        lineage = self._verifier.as_called(held)
        if lineage is None:
            return "the key is gone, or is being revoked"
        seen = await judged(self._sight, partial(look, self._verifier, lineage, call))
        if isinstance(seen, Allow) and is_judged_by_body(seen):
            value = decode_strict(body) if body else None
            seen = await judged(self._sight, partial(second_look, self._verifier, seen, call, value))
        admitted = let_through(self._verifier, seen, call) if isinstance(seen, Allow) else seen
        return admitted if isinstance(admitted, Allow) else _message(admitted)

    async def _sent(self, call: Call, allow: Allow, body: bytes) -> End:
        collected = Collected()
        try:
            failure = await self._send(call, allow, body, collected.send)
        except NoUpstream as error:
            return End(HeldState.FAILED, error.message)
        except KeyscopeError as error:  # what came back cannot go on, or what was made cannot be written down
            return End(HeldState.UNKNOWN, error.message)
        if failure is not None:
            unsent = isinstance(failure.__cause__, aiohttp.ClientConnectorError)
            return End(HeldState.FAILED if unsent else HeldState.UNKNOWN, failure.message)
        given = collected.given
        return End(HeldState.DONE, None, given) if given is not None else End(HeldState.UNKNOWN, "no answer came")

    async def _write_down(self, held: Held, end: End) -> None:
        """Tried again for a while: if it never is, the call is UNKNOWN in the end."""
        for _ in range(_TRIES):
            try:
                await asyncio.to_thread(self._holds.finish, held, end.state, end.reason, end.given)
            except KeyscopeError as error:
                log.error("what became of a held call was not written down: %s", error.detail)
                await asyncio.sleep(EVERY_S)
            else:
                return


def _message(answer: Answer) -> str:
    said = decode_strict(answer.body)
    message = said.get("message") if isinstance(said, dict) else None
    return message if isinstance(message, str) else "the call is refused"
