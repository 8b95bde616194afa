"""The built-in gate: decide, then forward, streaming both ways.

Operations whose scopes depend on the body have it parsed once, strictly, and the parsed value is what goes on, so that
gate and upstream cannot read two different things. Everything else passes through unread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import perf_counter

import aiohttp

from keyscope.authority.meter import Meter
from keyscope.authority.verify import Verifier
from keyscope.errors import BadRequest, Fault, KeyscopeError, NoUpstream, UpstreamFailure, UpstreamUnreachable
from keyscope.gate.admit import admit_with, first_look, is_judged_by_body, standing_of
from keyscope.gate.exchange import CallerGone, Exchange
from keyscope.gate.headers import Fields, inward, outward
from keyscope.gate.runs import RunWatch, Watch, capped, in_plain
from keyscope.gate.sight import SEES_BODY, Sight
from keyscope.gate.standing import Withdrawn
from keyscope.gate.stream import Stream, error_event
from keyscope.gate.timed import timed
from keyscope.gate.upstream import Body, Upstream
from keyscope.model.decision import Allow
from keyscope.wire.asgi import RawHeaders, Receive, Send, send_answer
from keyscope.wire.body import read_json_bytes
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
        sight: Sight = SEES_BODY,
        runs: RunWatch | None = None,
    ) -> None:
        self._verifier = verifier
        self._sight = sight
        self._runs = runs
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
        if is_judged_by_body(admitted):
            return await self._forward_judged(call, admitted, receive, send)
        exchange = Exchange(receive, standing_of(self._verifier, call, admitted, self._sight), self._body_timeout_s)
        try:
            body = exchange.body() if await exchange.has_body() else None
        except CallerGone as gone:
            raise BadRequest(str(gone), [Fault("body", "the body is malformed or ended early")]) from None
        headers = self._fields(call, admitted)
        return await self._forward(call, admitted, headers, body, exchange, send)

    async def _forward_judged(self, call: Call, allow: Allow, receive: Receive, send: Send) -> None:
        raw = await read_json_bytes(receive, call.headers, self._max_body_bytes, self._body_timeout_s)
        judged = self._judge_body(call, allow, raw)
        if isinstance(judged, Answer):
            return await send_answer(send, judged)
        admitted, body = judged
        headers = [(name, value) for name, value in self._fields(call, admitted) if name != "content-length"]
        headers.append(("content-length", str(len(body))))
        standing = standing_of(self._verifier, call, admitted, self._sight)
        exchange = Exchange.after_body(receive, standing, self._body_timeout_s)
        return await self._forward(call, admitted, headers, body, exchange, send)

    def _judge_body(self, call: Call, allow: Allow, raw: bytes) -> tuple[Allow, bytes] | Answer:
        """What was allowed in all and the bytes to send on, written anew from what was judged; or the refusal."""
        value = decode_strict(raw) if raw else None
        admitted = admit_with(self._verifier, allow, call, value, self._sight)
        if not isinstance(admitted, Allow):
            return admitted
        return admitted, encode(value) if raw else raw

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
            asked = self._upstream.request(call.method, capped(call, allow), fields, body)
            response = await (exchange.head(asked) if watch is None or not watch.is_end else asked)
            self._answering.add(perf_counter() - began)
        except CallerGone:
            return None  # nobody is left to answer; the upstream's connection is closed by now
        except Withdrawn as withdrawn:
            return await send_answer(send, withdrawn.answer)
        except UpstreamFailure as failure:
            log.warning("upstream failed: %s", failure.detail)
            return await send_answer(send, _failed(exchange, failure))
        async with response:
            fields_out = outward(response.raw_headers)
            if watch is None:
                return await pass_on(response, fields_out, exchange, send)
            return await _watched(watch, response, fields_out, exchange, send)


async def _watched(
    watch: Watch, response: aiohttp.ClientResponse, headers: RawHeaders, exchange: Exchange, send: Send
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
    return await pass_on(response, headers, exchange, send, begun=begun)


def _failed(exchange: Exchange, failure: KeyscopeError) -> Answer:
    if exchange.broken:
        return answer(BadRequest("cut", [Fault("body", "the body is malformed or ended early")]))
    return answer(failure)


async def pass_on(
    response: aiohttp.ClientResponse,
    headers: RawHeaders,
    exchange: Exchange,
    send: Send,
    edit: Callable[[bytes], bytes] | None = None,
    last_event: Callable[[Answer], bytes] = error_event,
    begun: bytes = b"",
) -> None:
    """Send the upstream's answer on as it comes, under these header fields, ``edit`` changing it on its way.

    ``begun`` was read of it already.

    If it breaks off, this returns without the last message, and the server then cuts the connection: a part never
    looks like the whole. If the key may have it no longer, it breaks off, too; but a stream of events ends with one
    that says why, if the one before it is whole.
    """
    stream = Stream(response, send, edit)
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    content, last = response.content, b""
    try:
        if content.is_eof() and edit is None:
            # The whole answer is here, as most small ones are: nothing to wait for, so no need to watch the caller.
            last = begun + content.read_nowait()
        else:
            if begun:
                await send({"type": "http.response.body", "body": begun, "more_body": True})
            if not content.total_bytes:
                await send(NOTHING_YET)
            await exchange.unless_gone(stream.copy())
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
