"""The built-in gate: decide, then forward, streaming both ways.

Operations whose scopes depend on the body have it parsed once, strictly, and the parsed value is what goes on, so that
gate and upstream cannot read two different things. Everything else passes through unread.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from time import perf_counter

import aiohttp

from keyscope.authority.meter import Meter
from keyscope.authority.verify import Verifier
from keyscope.errors import BadRequest, Fault, KeyscopeError, NoUpstream, UpstreamFailure, UpstreamUnreachable
from keyscope.gate.admit import first_look, is_judged_by_body, lasting, let_through, second_look, standing_of
from keyscope.gate.answering import Answering, Reply
from keyscope.gate.exchange import CallerGone, Exchange
from keyscope.gate.headers import Fields, inward
from keyscope.gate.holding import Holding
from keyscope.gate.replies.own import OwnThings, plan_of
from keyscope.gate.replies.redaction import asking_for_all
from keyscope.gate.runs import RunWatch, capped, in_plain
from keyscope.gate.sight import SEES_END, Sight, judged
from keyscope.gate.standing import Standing, Withdrawn
from keyscope.gate.timed import timed
from keyscope.gate.upstream import Body, Upstream
from keyscope.model.decision import Allow
from keyscope.model.held import Terms, terms_of
from keyscope.wire.asgi import Message, Receive, Send, send_answer
from keyscope.wire.body import read_bytes, read_json_bytes
from keyscope.wire.call import Call
from keyscope.wire.codec import decode_strict, encode
from keyscope.wire.problem import Answer, answer

log = logging.getLogger(__name__)


class Proxy:
    """Forwards what the verifier allows to the upstream. ``max_body_bytes`` bounds only bodies that are judged."""

    def __init__(
        self,
        verifier: Verifier,
        upstream: Upstream | None,
        meter: Meter,
        *,
        max_body_bytes: int,
        body_timeout_s: float,
        sight: Sight = SEES_END,
        runs: RunWatch | None = None,
        own: OwnThings | None = None,
        holding: Holding | None = None,
    ) -> None:
        self._verifier = verifier
        self._sight = sight
        self._runs = runs
        self._back = Answering(upstream, own)
        self._holding = holding
        self._upstream = upstream
        self._judging = meter.judging("proxy")
        self._answering = meter.upstream
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s

    async def __call__(self, call: Call, receive: Receive, send: Send) -> None:
        """Answer one request. Raises KeyscopeError only before anything was sent."""
        admitted = await judged(self._sight, partial(timed, self._judging, first_look, self._verifier, call))
        if not isinstance(admitted, Allow):
            return await send_answer(send, admitted)
        await self._back.check_cursor(call, admitted)
        terms = terms_of(admitted.lineage, admitted.access.route) if admitted.lineage.bounds else None
        if terms is not None:
            return await self._hold(call, admitted, terms, receive, send)
        if is_judged_by_body(admitted):
            return await self._forward_judged(call, admitted, receive, send)
        exchange = Exchange(receive, standing_of(self._verifier, call, admitted, self._sight), self._body_timeout_s)
        try:
            body = exchange.body() if await exchange.has_body() else None
        except CallerGone as gone:
            raise BadRequest(str(gone), [Fault("body", "the body is malformed or ended early")]) from None
        return await self._let_through(call, admitted, self._fields(call, admitted), body, exchange, send)

    async def _forward_judged(self, call: Call, allow: Allow, receive: Receive, send: Send) -> None:
        raw = await read_json_bytes(receive, call.headers, self._max_body_bytes, self._body_timeout_s)
        found = await self._judge_body(call, allow, raw)
        if isinstance(found, Answer):
            return await send_answer(send, found)
        admitted, body = found
        headers = _of_length(self._fields(call, admitted), body)
        standing = standing_of(self._verifier, call, admitted, self._sight)
        exchange = Exchange.after_body(receive, standing, self._body_timeout_s)
        return await self._let_through(call, admitted, headers, body, exchange, send)

    async def _judge_body(self, call: Call, allow: Allow, raw: bytes) -> tuple[Allow, bytes] | Answer:
        """What was allowed in all and the bytes to send on, written anew from what was judged; or the refusal."""
        value = decode_strict(raw) if raw else None
        admitted = await judged(self._sight, partial(second_look, self._verifier, allow, call, value))
        if not isinstance(admitted, Allow):
            return admitted
        return admitted, encode(value) if raw else raw

    async def _let_through(
        self, call: Call, allow: Allow, headers: Fields, body: Body, exchange: Exchange, send: Send
    ) -> None:
        """Nothing is left to be judged, and the next thing is the first byte to the upstream."""
        admitted = let_through(self._verifier, allow, call)
        if not isinstance(admitted, Allow):
            return await send_answer(send, admitted)
        with lasting(self._verifier, admitted, send) as ending:
            return await self._forward(call, admitted, headers, body, exchange, ending)

    async def _hold(self, call: Call, allow: Allow, terms: Terms, receive: Receive, send: Send) -> None:
        """Keep the call instead of sending it on, once nothing but its time is left to be judged."""
        if self._holding is None or self._upstream is None:
            raise NoUpstream
        by_body = is_judged_by_body(allow)
        read = read_json_bytes if by_body else read_bytes
        body = await read(receive, call.headers, self._max_body_bytes, self._body_timeout_s)
        if by_body:
            found = await self._judge_body(call, allow, body)
            if isinstance(found, Answer):
                return await send_answer(send, found)
            allow, body = found
        return await send_answer(send, await self._holding.hold(call, allow, terms, body))

    async def send_held(self, call: Call, allow: Allow, body: bytes, send: Send) -> UpstreamFailure | None:
        """Send on a call that was held and then let through. Returns what went wrong on the way to the upstream.

        Raises NoUpstream.
        """
        exchange = Exchange.after_body(_nothing_comes, Standing(_no_objection), self._body_timeout_s)
        headers = _of_length(self._fields(call, allow), body)
        await self._forward(call, allow, headers, body or None, exchange, send)
        return exchange.failure

    def _fields(self, call: Call, allow: Allow) -> Fields:
        if self._upstream is None:
            raise NoUpstream
        return inward(call.headers, allow.lineage.key, self._upstream.key)

    async def _forward(
        self, call: Call, allow: Allow, headers: Fields, body: Body, exchange: Exchange, send: Send
    ) -> None:
        if self._upstream is None:
            raise NoUpstream
        watch = self._runs.watch(call, allow) if self._runs is not None else None
        plan = plan_of(allow)
        try:
            began = perf_counter()
            fields = headers if watch is None else in_plain(headers)
            fields = asking_for_all(fields) if plan.edits else fields
            asked = self._upstream.request(call.method, capped(call, allow), fields, body)
            # What ends or makes something is waited for, whether or not its caller does.
            waits = plan.makes or (watch is not None and watch.is_end)
            response = await (asked if waits else exchange.head(asked))
            self._answering.add(perf_counter() - began)
        except CallerGone:
            return None  # nobody is left to answer; the upstream's connection is closed by now
        except Withdrawn as withdrawn:
            return await send_answer(send, withdrawn.answer)
        except UpstreamFailure as failure:
            log.warning("upstream failed: %s", failure.detail)
            exchange.failure = failure
            return await send_answer(send, _failed(exchange, failure))
        async with response:
            reply = Reply(call, allow, plan, response, fields, exchange, send)
            try:
                return await self._back.answer(reply, watch)
            except CallerGone:
                return None
            except Withdrawn as withdrawn:
                return await send_answer(send, withdrawn.answer)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise UpstreamUnreachable(type(error).__name__) from error


def _of_length(headers: Fields, body: bytes) -> Fields:
    return [*((name, value) for name, value in headers if name != "content-length"), ("content-length", str(len(body)))]


async def _nothing_comes() -> Message:
    """From a caller who is not there, and so does not go."""
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


def _no_objection() -> None:
    """What was approved is sent, whatever happens meanwhile."""


def _failed(exchange: Exchange, failure: KeyscopeError) -> Answer:
    if exchange.broken:
        return answer(BadRequest("cut", [Fault("body", "the body is malformed or ended early")]))
    return answer(failure)
