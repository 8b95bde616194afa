"""Read a request body that must be looked at: bounded in size and time."""

from __future__ import annotations

import asyncio

from keyscope.errors import BadRequest, Fault, TimedOut, TooLarge, UnsupportedMediaType
from keyscope.wire.asgi import RawHeaders, Receive

_ABOUT_CONTENT = frozenset({b"content-type", b"content-encoding"})
_PARAMETERS = ("", "charset=utf-8", 'charset="utf-8"')


async def read_json_bytes(receive: Receive, headers: RawHeaders, limit: int, timeout_s: float) -> bytes:
    """The whole body of a request that carries JSON or nothing.

    Raises UnsupportedMediaType, and as ``read_bytes`` does.
    """
    body = await read_bytes(receive, headers, limit, timeout_s)
    if body:
        check_media_type(headers, "application/json")
    return body


async def read_bytes(receive: Receive, headers: RawHeaders, limit: int, timeout_s: float) -> bytes:
    """The whole body.

    ``limit`` is in bytes. Raises TooLarge (from Content-Length already, before anything is read), TimedOut, and
    BadRequest if the body ends early.
    """
    length = _declared_length(headers)
    if length is not None and length > limit:
        raise TooLarge(f"{length} bytes declared, {limit} allowed")
    try:
        async with asyncio.timeout(timeout_s):
            return await _read(receive, limit, length)
    except TimeoutError:
        raise TimedOut(f"no whole body within {timeout_s} s") from None


async def _read(receive: Receive, limit: int, length: int | None) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise BadRequest("cut", [Fault("body", "the body is malformed or ended early")])
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise TooLarge(f"more than {limit} bytes")
        # A body of the declared length is whole, and waiting for word of it costs a turn of the event loop.
        if size == length or not message.get("more_body", False):
            return b"".join(parts)


def _declared_length(headers: RawHeaders) -> int | None:
    values = [value for name, value in headers if name in (b"content-length", b"transfer-encoding")]
    if len(values) != 1 or not values[0].isdigit():
        return None
    return int(values[0][:20])


def check_media_type(headers: RawHeaders, wanted: str) -> None:
    """Raise UnsupportedMediaType unless the body is of this type, in UTF-8 and not compressed."""
    about = [header for header in headers if header[0] in _ABOUT_CONTENT]
    if about == [(b"content-type", wanted.encode())]:
        return
    types = [value for name, value in about if name == b"content-type"]
    kind, _, parameter = (types[0] if len(types) == 1 else b"").decode("latin-1").lower().partition(";")
    if len(about) != 1 or kind.strip() != wanted or parameter.strip() not in _PARAMETERS:
        raise UnsupportedMediaType
