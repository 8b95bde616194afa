"""Handlers that answer without FastAPI, whose routing costs more than these answers do.

The same handler stands behind the documented route, so both ways give the same answer. A caller's fault is written in
the dialect of the standard that the endpoint follows; statuses and challenges stay those of the one table.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import msgspec
from fastapi import Request
from fastapi.responses import Response

from keyscope.api.caller import Answered, Desk, Handler, call_of
from keyscope.errors import BadRequest, Fault, KeyscopeError, UnsupportedMediaType
from keyscope.gate.admit import admit
from keyscope.model.decision import Allow
from keyscope.model.key import Lineage
from keyscope.wire.asgi import RawHeaders, Receive
from keyscope.wire.body import check_media_type, read_bytes
from keyscope.wire.call import Call
from keyscope.wire.problem import NO_STORE, Answer, Header, answer

Plain = Callable[[Call, Receive], Awaitable[Answer]]

_JSON: Header = (b"content-type", b"application/json")
_OF_BODY = frozenset({b"content-type", b"content-length"})
_HOST = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]")

encode = msgspec.json.Encoder().encode


def json_answer(body: bytes, *more: Header, status: int = 200) -> Answer:
    """JSON that nobody may cache."""
    return Answer(status, (_JSON, (b"content-length", str(len(body)).encode()), NO_STORE, *more), body)


def endpoint(plain: Plain) -> Handler:
    """The handler as a FastAPI endpoint."""

    async def run(request: Request) -> Response:
        return response_of(await plain(call_of(request), request.receive))

    run.__doc__ = plain.__doc__
    return run


def response_of(local: Answer) -> Response:
    response = Response(local.body, local.status)
    response.raw_headers = list(local.headers)
    return response


def asking(desk: Desk, call: Call) -> Lineage:
    """The key that asks, if it may make this call. Raises Unauthenticated, Unavailable and Answered."""
    outcome = admit(desk.verifier, call)
    if not isinstance(outcome, Allow):
        raise Answered(outcome)
    return outcome.lineage


async def read_content(desk: Desk, call: Call, receive: Receive, media_type: str) -> bytes:
    """The whole body, which must be of this type. Raises as ``read_bytes`` does, and BadRequest for another type."""
    raw = await read_bytes(receive, call.headers, desk.max_body_bytes, desk.body_timeout_s)
    try:
        check_media_type(call.headers, media_type)
    except UnsupportedMediaType:
        # Neither standard knows 415: another type is an invalid request.
        raise BadRequest("media type", [Fault("Content-Type", f"send {media_type}")]) from None
    return raw


def refused(error: KeyscopeError | Answered) -> tuple[Answer, str, str]:
    """The answer of the one table to an error, its code, and its message."""
    local = error.answer if isinstance(error, Answered) else answer(error)
    said = msgspec.json.decode(local.body)
    return local, said["code"], said["message"]


def rewritten(local: Answer, body: bytes, *more: Header) -> Answer:
    """The same status and headers with a JSON body of another form."""
    kept = tuple(header for header in local.headers if header[0] not in _OF_BODY)
    return Answer(local.status, (_JSON, (b"content-length", str(len(body)).encode()), *kept, *more), body)


def base_url(desk: Desk, headers: RawHeaders) -> str:
    """Where this server is reached: as the settings say, or else by the request's own Host, over plain HTTP."""
    if desk.public_url is not None:
        return desk.public_url
    host = next((value for name, value in headers if name == b"host"), b"")
    if not host or not _HOST.issuperset(host):
        raise BadRequest("Host", [Fault("Host", "it is not a host name or address")])
    return f"http://{host.decode('ascii')}"
