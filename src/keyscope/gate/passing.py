"""An answer of the upstream's on its way to the caller, as it comes, while the key may have it."""

from __future__ import annotations

import logging
from collections.abc import Callable

import aiohttp

from keyscope.errors import KeyscopeError
from keyscope.gate.exchange import CallerGone, Exchange
from keyscope.gate.standing import Withdrawn
from keyscope.gate.stream import NOTHING_YET, Edit, Stream, error_event
from keyscope.wire.asgi import RawHeaders, Send, send_answer
from keyscope.wire.problem import Answer

log = logging.getLogger(__name__)


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
