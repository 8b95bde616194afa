"""What becomes of an upstream's answer at the built-in gate, for who may not have all of it, or has made something."""

from __future__ import annotations

from functools import partial

import aiohttp
from msgspec import Struct

from keyscope.errors import NotFound, NoUpstream, Unavailable
from keyscope.gate.exchange import Exchange
from keyscope.gate.headers import Fields, outward
from keyscope.gate.passing import pass_on
from keyscope.gate.replies.cuts import Steps
from keyscope.gate.replies.listing import Listing
from keyscope.gate.replies.own import OwnThings, Plan, limited_list
from keyscope.gate.replies.pages import Asked, check_page, pass_pages
from keyscope.gate.replies.redaction import edit_of, of_another_body, read_whole
from keyscope.gate.runs import Watch
from keyscope.gate.upstream import Upstream
from keyscope.model.decision import Allow
from keyscope.wire.asgi import RawHeaders, Send
from keyscope.wire.call import Call

_OF_A_BODY = frozenset({"content-length", "content-type"})


class Reply(Struct, frozen=True):
    """An answer of the upstream's, and all that is needed to send it on."""

    call: Call
    allow: Allow
    plan: Plan
    response: aiohttp.ClientResponse
    fields: Fields
    exchange: Exchange
    send: Send


class Answering:
    """Sends answers on. ``own`` is the ledger of own things; without it nobody is limited to any."""

    def __init__(self, upstream: Upstream | None, own: OwnThings | None) -> None:
        self._upstream = upstream
        self._own = own

    async def answer(self, reply: Reply, watch: Watch | None) -> None:
        """Pass an answer on, once it was looked at: without what its caller may not have."""
        response, plan, exchange = reply.response, reply.plan, reply.exchange
        headers = outward(response.raw_headers)
        begun = b""
        if watch is not None:
            read = watch.read(response)
            begun = await (read if watch.is_end else exchange.unless_gone(read))
        if not plan.edits:
            return await pass_on(response, headers, exchange, reply.send, begun=begun)
        headers = of_another_body(headers)
        if 200 <= response.status < 300:
            if plan.makes:
                begun = await self._recorded(reply, begun)
            elif plan.lists is not None and reply.call.method != "HEAD":
                return await self._listed(reply, plan.lists, headers)
        edit = edit_of(reply.call.method, response, [path.steps for path in plan.hidden])
        return await pass_on(response, headers, exchange, reply.send, edit, begun=begun)

    async def _recorded(self, reply: Reply, begun: bytes) -> bytes:
        """The whole reply, once what it says was made is written down."""
        whole = begun + await read_whole(reply.response)
        await self._require_own().record(reply.allow, whole)
        return whole

    async def _listed(self, reply: Reply, lists: tuple[str, Steps], headers: RawHeaders) -> None:
        own, lineage, call, upstream = self._require_own(), reply.allow.lineage, reply.call, self._upstream
        resource, path = lists
        check_page(reply.response)
        asked = Asked(call.query)
        listing = Listing(
            path,
            [hidden.steps for hidden in reply.plan.hidden],
            partial(own.may_see, lineage, resource),
            most=asked.most,
            is_start=not asked.cursors,
        )

        async def ask(after: str) -> aiohttp.ClientResponse:
            if upstream is None:
                raise NoUpstream
            fields = [(name, value) for name, value in reply.fields if name not in _OF_A_BODY]
            return await upstream.request("GET", f"{call.path}?{asked.after(after)}", fields, None)

        pages = ask if call.method == "GET" else None  # another method may have done something
        await pass_pages(reply.response, headers, listing, pages, reply.exchange, reply.send)

    async def check_cursor(self, call: Call, allow: Allow) -> None:
        """Refuse a list that is to begin after a thing which the key may not see, as if there were none."""
        lists = limited_list(allow)
        cursors = Asked(call.query).cursors if lists is not None else []
        if lists is not None and not all(await self._require_own().may_see(allow.lineage, lists[0], cursors)):
            raise NotFound("a cursor that is not the key's")

    def _require_own(self) -> OwnThings:
        if self._own is None:
            raise Unavailable("there is no ledger of own things")
        return self._own
