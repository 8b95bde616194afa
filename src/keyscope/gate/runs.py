"""What keys that are bound to runs ask of the gate: to see when a run ends, and to cap what its keys are handed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from urllib.parse import unquote_plus

import aiohttp
from msgspec import Struct

from keyscope.authority.ports import Index
from keyscope.authority.runs import Runs
from keyscope.errors import BadRequest, KeyscopeError
from keyscope.gate.headers import Fields
from keyscope.model.decision import Allow
from keyscope.model.event import Origin
from keyscope.model.key import NEVER_MS
from keyscope.model.operation import Sign
from keyscope.wire.call import Call, request_id
from keyscope.wire.codec import decode_strict

log = logging.getLogger(__name__)

MOST_BYTES = 262_144
"""Of a reply that is looked at. A longer one goes on unseen."""
_JSON = "application/json"


class Watch(Struct, frozen=True):
    """One call that may show the end of what keys are bound to."""

    sign: Sign
    devbox_id: str
    account_id: str
    origin: Origin
    ended: Callable[[str, str, str, Origin], int]

    @property
    def is_end(self) -> bool:
        """Whether the call itself ends it: then its answer is waited for, whether or not the caller does."""
        return self.sign.at is None

    async def read(self, response: aiohttp.ClientResponse) -> bytes:
        """What is read of a reply, to be sent on. If it shows the end, the keys are revoked by then."""
        if not 200 <= response.status < 300:
            return b""
        begun = await _begun(response)
        if self._is_sign(response, begun):
            await asyncio.to_thread(self._end)
        return begun

    def _is_sign(self, response: aiohttp.ClientResponse, begun: bytes) -> bool:
        if self.sign.at is None:
            return True
        if not response.content.at_eof() or response.content_type != _JSON or "content-encoding" in response.headers:
            return False
        try:
            return self.sign.is_given_by(decode_strict(begun))
        except BadRequest:
            return False

    def _end(self) -> None:
        how = "was shut down" if self.sign.at is None else "has ended"
        try:
            self.ended(self.account_id, self.devbox_id, f"devbox {self.devbox_id} {how}", self.origin)
        except KeyscopeError as error:
            # They are refused here all the same, and revoked as soon as the store can be written to.
            log.error("keys of an ended run were not revoked yet: %s", error.detail)


class RunWatch:
    """For the thread of the index. Calls to which no bound key listens cost a look-up, and most not even that."""

    def __init__(self, index: Index, runs: Runs) -> None:
        self._has_bound = index.has_bound
        self._ended = runs.ended

    def watch(self, call: Call, allow: Allow) -> Watch | None:
        """How to look at the answer to a call; None if nobody wants to know. Raises Unavailable."""
        route = allow.access.route
        sign = route.sign if route is not None else None
        if sign is None:
            return None
        devbox_id, account_id = sign.instance(call.path), allow.lineage.key.account_id
        if not self._has_bound(account_id, devbox_id):
            return None
        origin = Origin(allow.lineage.chain, call.peer, request_id(call.headers))
        return Watch(sign, devbox_id, account_id, origin, self._ended)


def in_plain(headers: Fields) -> Fields:
    """The fields of a request whose answer is to be looked at: it must come without a content coding."""
    return [(name, value) for name, value in headers if name != "accept-encoding"]


def capped(call: Call, allow: Allow) -> str:
    """The target to send on: what a bound key is handed is good no longer than the key, where the API lets one say."""
    route = allow.access.route
    caps = route.caps if route is not None else ()
    left_ms = allow.lineage.expires_at_ms - allow.access.now_ms
    if not caps or not allow.lineage.is_bound or allow.lineage.expires_at_ms == NEVER_MS:
        return call.target
    query = call.query.decode("ascii")
    for name, unit_ms in caps:
        query = _with_most(query, name, max(1, left_ms // unit_ms))
    return f"{call.path}?{query}"


def _with_most(query: str, name: str, most: int) -> str:
    """The query with this parameter once, at most so much; what is no whole number there counts as too much."""
    parts = [part for part in query.split("&") if part]
    asked = [part.partition("=")[2] for part in parts if _name(part) == name]
    whole = asked[0] if len(asked) == 1 and asked[0].isascii() and asked[0].isdigit() and len(asked[0]) < 16 else None
    kept = [part for part in parts if _name(part) != name]
    return "&".join([*kept, f"{name}={most if whole is None else min(most, int(whole))}"])


def _name(part: str) -> str:
    return unquote_plus(part.partition("=")[0])


async def _begun(response: aiohttp.ClientResponse) -> bytes:
    """The reply, or the first of it, if it is longer than is looked at."""
    begun = bytearray()
    while len(begun) < MOST_BYTES and (chunk := await response.content.read(MOST_BYTES - len(begun))):
        begun += chunk
    return bytes(begun)
