"""The gate in front of an MCP server (streamable HTTP): each message is judged, and what was judged is what goes on.

A POST carries one JSON-RPC message. A GET opens the stream of a session, a DELETE ends one; both take the key that
opened it. Everything else is refused. A refusal is both what the authorization part of the specification asks for (401
or 403 with a challenge) and a JSON-RPC error, so that every client finds the words (docs/decisions/0012-mcp-policy.md).
"""

from __future__ import annotations

from functools import partial
from urllib.parse import urlsplit

from msgspec import Struct
from msgspec.structs import replace

from keyscope.authority.verify import Verifier
from keyscope.errors import BadRequest, BadTarget, Fault, MethodNotAllowed, NotFound, OriginNotTrusted
from keyscope.gate.exchange import CallerGone, Exchange
from keyscope.gate.headers import Fields, inward, outward
from keyscope.gate.mcp_call import Want, check_fields, check_mirrors, wants
from keyscope.gate.mcp_judge import Judge
from keyscope.gate.mcp_relay import Relay
from keyscope.gate.mcp_session import HEADER, Sessions
from keyscope.gate.sight import Sight
from keyscope.gate.standing import Standing, Withdrawn
from keyscope.gate.upstream import Upstream
from keyscope.model.decision import Allow
from keyscope.model.key import Lineage
from keyscope.policy.tools import LISTS
from keyscope.wire.asgi import RawHeaders, Receive, Scope, Send, send_answer, until_answered
from keyscope.wire.body import read_json_bytes
from keyscope.wire.call import Call
from keyscope.wire.codec import decode_strict, encode
from keyscope.wire.rpc import Id, Kind, Message, id_in, message_of, rpc_answer

RPC_ID = "keyscope.rpc_id"
"""Where the scope holds the id of the request that is being answered."""
_METHODS = ("DELETE", "GET", "POST")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_WRITTEN_ANEW = frozenset({"content-length", "accept-encoding", HEADER.decode()})


class Asked(Struct, frozen=True):
    """One admitted request: who asks, in which session, for what, and what is sent on."""

    token: bytes
    lineage: Lineage
    session: str | None
    wants: tuple[Want, ...] = ()
    id: Id = None
    body: bytes | None = None
    shows_lists: bool = False
    """Whether the answer may hold lists."""

    @property
    def is_bound(self) -> bool:
        """Whether the policy binds the key, or a restriction does."""
        return self.lineage.grant is not None or bool(self.lineage.bounds)


class McpGate:
    """Judges and forwards. ``endpoint`` is the path at which it answers. ``max_body_bytes`` bounds a message."""

    def __init__(
        self,
        verifier: Verifier,
        sight: Sight,
        upstream: Upstream,
        sessions: Sessions,
        *,
        endpoint: str,
        max_body_bytes: int,
        body_timeout_s: float,
    ) -> None:
        self._judge = Judge(verifier, sight)
        self._upstream = upstream
        self._sessions = sessions
        self._endpoint = endpoint
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s

    async def __call__(self, scope: Scope, call: Call, receive: Receive, send: Send) -> None:
        """Answer one request. Raises KeyscopeError only before anything was sent."""
        self._check_head(call)
        token, lineage = self._judge.live(call)
        session = self._session(call, lineage)
        if call.method != "POST":
            # A stream outside of the caller's own session might carry what is another key's.
            if session is None:
                raise MethodNotAllowed(f"{call.method} without a session")
            asked = Asked(token, lineage, session, shows_lists=call.method == "GET")
        else:
            raw = await read_json_bytes(receive, call.headers, self._max_body_bytes, self._body_timeout_s)
            value = decode_strict(raw)
            scope[RPC_ID] = id_in(value)
            asked = _read(call, message_of(value), Asked(token, lineage, session, body=encode(value)))
        admitted = self._judge.admit(call, token, asked.wants)
        if not isinstance(admitted, Allow):
            return await send_answer(send, rpc_answer(admitted, asked.id))
        standing = Standing(lambda: self._judge.objection(call, asked.token, asked.wants))
        exchange = Exchange.after_body(receive, standing, self._body_timeout_s)
        with until_answered(send, partial(self._judge.over, admitted)) as ending:
            return await self._forward(call, asked, exchange, ending)

    async def _forward(self, call: Call, asked: Asked, exchange: Exchange, send: Send) -> None:
        fields = self._fields(call, asked)
        try:
            sent = self._upstream.request(call.method, "", fields, asked.body)  # its address has the path
            response = await exchange.head(sent)
            async with response:
                may = self._judge.may(call, asked.token) if asked.shows_lists and asked.is_bound else None
                headers = self._outward(response.raw_headers, asked.lineage)
                await Relay(response, headers, asked.id, may)(exchange, send)
        except CallerGone:
            return  # nobody is left to answer; the upstream's connection is closed by now
        except Withdrawn as withdrawn:
            await send_answer(send, rpc_answer(withdrawn.answer, asked.id))

    def _check_head(self, call: Call) -> None:
        if call.path != self._endpoint:
            raise NotFound(f"the endpoint is {self._endpoint}")
        if call.query:
            raise BadTarget("query", [Fault("target", "the MCP endpoint takes no query")])
        if call.method not in _METHODS:
            raise MethodNotAllowed(call.method)
        check_fields(call.headers)
        _check_origin(call.headers)

    def _session(self, call: Call, lineage: Lineage) -> str | None:
        given = dict(call.headers).get(HEADER)
        return self._sessions.opened(given.decode("latin-1"), lineage) if given is not None else None

    def _fields(self, call: Call, asked: Asked) -> Fields:
        """The caller's fields for the upstream. A coding would hide the lists, so none is asked for."""
        fields = inward(call.headers, asked.lineage.key, self._upstream.key)
        kept = [(name, value) for name, value in fields if name not in _WRITTEN_ANEW]
        if asked.session is not None:
            kept.append((HEADER.decode(), asked.session))
        if asked.body is not None:
            kept.append(("content-length", str(len(asked.body))))
        return kept

    def _outward(self, headers: tuple[tuple[bytes, bytes], ...], lineage: Lineage) -> RawHeaders:
        """The upstream's fields for the caller, with a session id that only this key can use."""
        return [
            (name, self._sessions.sealed(value.decode("latin-1"), lineage).encode("latin-1"))
            if name == HEADER
            else (name, value)
            for name, value in outward(headers)
        ]


def _read(call: Call, message: Message, asked: Asked) -> Asked:
    """What a message asks for. Raises BadRequest if it does not say so in one way only."""
    check_mirrors(call.headers, message)
    if message.kind is Kind.RESPONSE and asked.session is None:
        raise BadRequest("response", [Fault("$", "a response goes into the session that asked for it")])
    return replace(
        asked,
        # A standard key may do everything, so there is nothing to find out.
        wants=tuple(wants(message)) if asked.is_bound else (),
        id=message.id if message.kind is Kind.REQUEST else None,
        shows_lists=message.method in LISTS,
    )


def _check_origin(headers: RawHeaders) -> None:
    """Pages of this machine aside, no browser's page may ask (MCP, streamable HTTP: DNS rebinding)."""
    origin = dict(headers).get(b"origin")
    if origin is not None and urlsplit(origin.decode("latin-1")).hostname not in _LOOPBACK:
        raise OriginNotTrusted(repr(origin[:64]))
