"""The built-in gate: decide, then forward, streaming both ways.

Operations whose scopes depend on the body have it parsed once, strictly, and the parsed value is what goes on, so that
gate and upstream cannot read two different things. Everything else passes through unread.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import perf_counter

import aiohttp

from keyscope.authority.meter import Meter
from keyscope.authority.verify import Verifier
from keyscope.errors import BadRequest, Fault, KeyscopeError, NoUpstream, UpstreamFailure, UpstreamUnreachable
from keyscope.gate.admit import first_look, is_judged_by_body, let_through, over, second_look, standing_of
from keyscope.gate.exchange import CallerGone, Exchange
from keyscope.gate.headers import Fields, inward, outward
from keyscope.gate.holding import Holding
from keyscope.gate.replies.redaction import asking_for_all, edit_of, of_another_body
from keyscope.gate.runs import RunWatch, Watch, capped, in_plain
from keyscope.gate.sight import SEES_END, Sight
from keyscope.gate.standing import Standing, Withdrawn
from keyscope.gate.stream import Edit, Stream, error_event
from keyscope.gate.timed import timed
from keyscope.gate.upstream import Body, Upstream
from keyscope.model.decision import Allow
from keyscope.model.held import Terms, terms_of
from keyscope.model.hidden import hidden_from
from keyscope.wire.asgi import Message, RawHeaders, Receive, Send, send_answer
from keyscope.wire.body import read_bytes, read_json_bytes
from keyscope.wire.call import Call
from keyscope.wire.codec import decode_strict, encode
from keyscope.wire.problem import Answer, answer

log = logging.getLogger(__name__)

# Granian holds the head of an answer back until the first part of its body, and says 500 itself if none ever comes.
NOTHING_YET = {"type": "http.response.body", "body": b"", "more_body": True}


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
        holding: Holding | None = None,
    ) -> None:
        self._verifier = verifier
        self._sight = sight
        self._runs = runs
        self._holding = holding
        self._upstream = upstream
        self._judging = meter.judging("proxy")
        self._answering = meter.upstream
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s

    async def __call__(self, call: Call, receive: Receive, send: Send) -> None:
        """Answer one request. Raises KeyscopeError only before anything was sent."""
        admitted = timed(self._judging, first_look, self._verifier, call, self._sight)
        if not isinstance(admitted, Allow):
            return await send_answer(send, admitted)
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
        judged = self._judge_body(call, allow, raw)
        if isinstance(judged, Answer):
            return await send_answer(send, judged)
        admitted, body = judged
        headers = _of_length(self._fields(call, admitted), body)
        standing = standing_of(self._verifier, call, admitted, self._sight)
        exchange = Exchange.after_body(receive, standing, self._body_timeout_s)
        return await self._let_through(call, admitted, headers, body, exchange, send)

    def _judge_body(self, call: Call, allow: Allow, raw: bytes) -> tuple[Allow, bytes] | Answer:
        """What was allowed in all and the bytes to send on, written anew from what was judged; or the refusal."""
        value = decode_strict(raw) if raw else None
        admitted = second_look(self._verifier, allow, call, value, self._sight)
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
        try:
            return await self._forward(call, admitted, headers, body, exchange, send)
        finally:
            over(self._verifier, admitted)

    async def _hold(self, call: Call, allow: Allow, terms: Terms, receive: Receive, send: Send) -> None:
        """Keep the call instead of sending it on, once nothing but its time is left to be judged."""
        if self._holding is None or self._upstream is None:
            raise NoUpstream
        read = read_json_bytes if is_judged_by_body(allow) else read_bytes
        body = await read(receive, call.headers, self._max_body_bytes, self._body_timeout_s)
        if is_judged_by_body(allow):
            judged = self._judge_body(call, allow, body)
            if isinstance(judged, Answer):
                return await send_answer(send, judged)
            allow, body = judged
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
        try:
            began = perf_counter()
            fields = headers if watch is None else in_plain(headers)
            fields = asking_for_all(fields) if hidden_from(allow) else fields
            asked = self._upstream.request(call.method, capped(call, allow), fields, body)
            response = await (exchange.head(asked) if watch is None or not watch.is_end else asked)
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
            if watch is None:
                return await _answer(call, allow, response, b"", exchange, send)
            return await _watched(watch, call, allow, response, exchange, send)


async def _answer(
    call: Call, allow: Allow, response: aiohttp.ClientResponse, begun: bytes, exchange: Exchange, send: Send
) -> None:
    """Pass an answer on, without the members that its caller may not have."""
    headers, hidden = outward(response.raw_headers), hidden_from(allow)
    if not hidden:
        return await pass_on(response, headers, exchange, send, begun=begun)
    edit = edit_of(call.method, response, [path.steps for path in hidden])
    return await pass_on(response, of_another_body(headers), exchange, send, edit, begun=begun)


def _of_length(headers: Fields, body: bytes) -> Fields:
    return [*((name, value) for name, value in headers if name != "content-length"), ("content-length", str(len(body)))]


async def _nothing_comes() -> Message:
    """From a caller who is not there, and so does not go."""
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


def _no_objection() -> None:
    """What was approved is sent, whatever happens meanwhile."""


async def _watched(
    watch: Watch, call: Call, allow: Allow, response: aiohttp.ClientResponse, exchange: Exchange, send: Send
) -> None:
    """Pass an answer on once it was looked at."""
    try:
        read = watch.read(response)
        begun = await (read if watch.is_end else exchange.unless_gone(read))
    except CallerGone:
        return None
    except Withdrawn as withdrawn:
        return await send_answer(send, withdrawn.answer)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UpstreamUnreachable(type(error).__name__) from error
    return await _answer(call, allow, response, begun, exchange, send)


def _failed(exchange: Exchange, failure: KeyscopeError) -> Answer:
    if exchange.broken:
        return answer(BadRequest("cut", [Fault("body", "the body is malformed or ended early")]))
    return answer(failure)


def _length(body: bytes) -> tuple[bytes, bytes]:
    return b"content-length", str(len(body)).encode()


async def pass_on(
    response: aiohttp.ClientResponse,
    headers: RawHeaders,
    exchange: Exchange,
    send: Send,
    edit: Edit | None = None,
    last_event: Callable[[Answer], bytes] = error_event,
    begun: bytes = b"",
) -> None:
    """Send the upstream's answer on as it comes, under these header fields, ``edit`` changing it on its way.

    ``begun`` was read of it already.

    If it breaks off, this returns without the last message, and the server then cuts the connection: a part never
    looks like the whole. If the key may have it no longer, it breaks off, too; but a stream of events ends with one
    that says why, if the one before it is whole. Raises UpstreamAnswer if ``edit`` cannot read an answer that is here.
    """
    stream = Stream(response, send, edit)
    content, last = response.content, b""
    if content.is_eof() and edit is not None:
        last = edit.feed(begun + content.read_nowait()) + edit.close()
        return await send_answer(send, Answer(response.status, (*headers, _length(last)), last))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    try:
        if content.is_eof() and edit is None:
            # The whole answer is here, as most small ones are: nothing to wait for, so no need to watch the caller.
            last = begun + content.read_nowait()
        else:
            if not content.total_bytes:
                await send(NOTHING_YET)
            await exchange.unless_gone(stream.copy(begun))
    except Withdrawn as withdrawn:
        response.close()
        if not stream.takes_event:
            return await send(NOTHING_YET)
        last = last_event(withdrawn.answer)
    except (CallerGone, KeyscopeError, aiohttp.ClientError, TimeoutError, OSError) as error:
        log.info("an answer broke off: %s", type(error).__name__)
        response.close()
        return await send(NOTHING_YET)
    return await send({"type": "http.response.body", "body": last})
