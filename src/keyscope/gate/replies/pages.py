"""The pages of a list that is cut down, fetched until the caller has what it asked for or there is no more.

Nothing is sent before there is something to send, so what fails early is an error, and what fails later is cut off: a
part never looks like the whole.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from http import HTTPStatus
from urllib.parse import parse_qsl, quote_plus, urlencode

import aiohttp

from keyscope.errors import KeyscopeError, UpstreamAnswer, UpstreamUnreachable
from keyscope.gate.exchange import CallerGone, Exchange
from keyscope.gate.replies.listing import Listing
from keyscope.gate.standing import Withdrawn
from keyscope.gate.stream import NOTHING_YET
from keyscope.wire.asgi import RawHeaders, Send

log = logging.getLogger(__name__)

MOST_PAGES = 500
"""Of the upstream's for one of the caller's. What would take more is refused."""
LEAST_ELEMENTS = 100
"""Of a page that the gate itself asks for."""
LIMIT, AFTER = "limit", "starting_after"
_TROUBLE = (aiohttp.ClientError, TimeoutError, OSError)

Ask = Callable[[str], Awaitable[aiohttp.ClientResponse]]
"""Fetches a target in the caller's name."""


class Asked:
    """What a list request asks for, by its query."""

    def __init__(self, query: bytes) -> None:
        self._fields = parse_qsl(query.decode("ascii"), keep_blank_values=True)
        limits = self._values(LIMIT)
        self.most = int(limits[0]) if len(limits) == 1 and limits[0].isascii() and limits[0].isdigit() else None
        self.cursors = self._values(AFTER)

    def after(self, thing: str) -> str:
        """The query of the next page."""
        kept = [(name, value) for name, value in self._fields if name not in (LIMIT, AFTER)]
        limit = max(self.most or 0, LEAST_ELEMENTS)
        return urlencode([*kept, (LIMIT, str(limit)), (AFTER, thing)], quote_via=quote_plus)

    def _values(self, wanted: str) -> list[str]:
        return [value for name, value in self._fields if name == wanted]


async def pass_pages(
    response: aiohttp.ClientResponse,
    headers: RawHeaders,
    listing: Listing,
    ask: Ask | None,
    exchange: Exchange,
    send: Send,
) -> None:
    """Send the list on. ``ask`` fetches the page after an id; None if pages cannot be asked for.

    Raises KeyscopeError, CallerGone and Withdrawn, only before anything was sent.
    """
    parts = _parts(response, listing, ask)
    try:
        first = await exchange.head(anext(parts))
    except _TROUBLE as error:
        raise UpstreamUnreachable(type(error).__name__) from error
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": first, "more_body": True})
    try:
        await exchange.unless_gone(_send_all(parts, send))
    except (CallerGone, Withdrawn, KeyscopeError, *_TROUBLE) as error:
        log.info("a list broke off: %s", type(error).__name__)
        return await send(NOTHING_YET)
    return await send({"type": "http.response.body", "body": b""})


async def _send_all(parts: AsyncIterator[bytes], send: Send) -> None:
    async for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})


async def _parts(response: aiohttp.ClientResponse, listing: Listing, ask: Ask | None) -> AsyncIterator[bytes]:
    async for part in _page(response, listing):
        yield part
    pages = 1
    while (after := listing.next_page()) is not None:
        pages += 1
        if ask is None or pages > MOST_PAGES:
            raise UpstreamAnswer(f"a list that is not at its end after {pages - 1} pages")
        async with await ask(after) as page:
            check_page(page)
            async for part in _page(page, listing):
                yield part
    yield listing.end()


async def _page(response: aiohttp.ClientResponse, listing: Listing) -> AsyncIterator[bytes]:
    async for chunk in response.content.iter_any():
        part = await listing.feed(chunk)
        if part:
            yield part
        if listing.is_full:
            response.close()  # what follows would not be sent
            return
    part = await listing.close()
    if part:
        yield part


def check_page(response: aiohttp.ClientResponse) -> None:
    """Raise UpstreamAnswer for what is no page of a list in plain JSON."""
    coding = response.headers.get("content-encoding", "identity").lower()
    if response.status != HTTPStatus.OK or coding != "identity" or not response.content_type.endswith("json"):
        raise UpstreamAnswer(f"no page of a list: {response.status}, {response.content_type}")
