"""The MCP gate as one ASGI application, beside ``application.py``: the same store, verifier and server around it."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

from keyscope.authority.ports import Clock, Entropy, Store
from keyscope.authority.recording import Recording
from keyscope.authority.verify import Verifier
from keyscope.errors import NotFound
from keyscope.gate.faults import refused
from keyscope.gate.mcp import RPC_ID, McpGate
from keyscope.gate.mcp_session import Sessions
from keyscope.gate.sight import Sight
from keyscope.gate.upkeep import check
from keyscope.gate.upstream import Upstream
from keyscope.model.facts import BodySeen
from keyscope.policy.document import Policy
from keyscope.settings import Settings
from keyscope.wire.asgi import Conversation, Receive, Scope, Send, refuse_websocket, send_answer
from keyscope.wire.call import read_call
from keyscope.wire.forwarded import Proxies
from keyscope.wire.problem import answer
from keyscope.wire.rpc import rpc_answer

log = logging.getLogger(__name__)

_SECRET_BYTES = 32


class McpApplication:
    """One process's gate. Build it in the thread that serves, because the index belongs to a thread."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        store: Store,
        clock: Clock,
        entropy: Entropy,
        upstream: Upstream | None = None,
        recording: Recording | None = None,
    ) -> None:
        if upstream is None:
            raise ValueError("the MCP gate stands in front of something")
        self._settings = settings
        proxies = settings.trusted_proxies
        self._proxies = Proxies(proxies) if proxies is not None else None
        self._store = store
        self._recording = recording
        self.index = store.open_index()
        self.verifier = Verifier(self.index, policy.table(), clock, set(), recording.ledger if recording else None)
        self._gate = McpGate(
            self.verifier,
            Sight(body=BodySeen.WHOLE, counts=True, sees_end=True, knows_peer=proxies is not None),
            upstream,
            Sessions(entropy.random_bytes(_SECRET_BYTES)),
            endpoint=endpoint_of(settings),
            max_body_bytes=settings.max_body_bytes,
            body_timeout_s=settings.body_timeout_s,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. MCP has no WebSockets; another scope type gets no answer."""
        if scope["type"] == "websocket":
            await refuse_websocket(send, answer(NotFound("a WebSocket")))
        elif scope["type"] == "http":
            await self._http(scope, receive, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        talk = Conversation(scope, receive, send)
        try:
            call = read_call(scope, self._settings.max_header_bytes, self._proxies)
            await self._gate(scope, call, talk.receive, talk.send)
        except Exception as error:
            if talk.started:
                log.error("a request failed after its answer had begun", exc_info=error)
                return  # without the last message the server cuts the connection
            await send_answer(talk.send, rpc_answer(refused(error), scope.get(RPC_ID)))

    def leave(self) -> None:
        """Nothing: the path of the endpoint is the upstream's, so there is none to ask for readiness."""

    def stop(self) -> None:
        """Nothing: a client starts a stream again that the end of the server has cut."""

    def check(self) -> None:
        """Raise Unavailable, and keep the gate closed, if the store cannot be used now. Opens it again if it can."""
        check(self.verifier, self.index, self._store, self._recording)


def endpoint_of(settings: Settings) -> str:
    """The path of the MCP endpoint: here the same as at the upstream."""
    return urlsplit(settings.upstream or "").path or "/"
