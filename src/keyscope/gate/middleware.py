"""The gate inside an ASGI application's own process: nothing reaches the application but what a judge let through.

Every scope type is covered: requests and WebSockets are judged, lifespan passes, anything else gets no answer. The
application is called in one place for each, after a Caller was had. It never sees the credential, nor a header that
might make it read another call than the one that was judged.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import unquote

from keyscope.errors import BadTarget, ConfigurationError, Fault, OwnOperation, Unavailable
from keyscope.gate.faults import refused
from keyscope.gate.headers import NEVER_INWARD, NEVER_INWARD_PREFIXES
from keyscope.gate.judge import Caller, Judge, Lasting, Pending, Verdict
from keyscope.model.token import Kind, format_token
from keyscope.wire.asgi import (
    Conversation,
    Message,
    Receive,
    Scope,
    Send,
    refuse_websocket,
    send_answer,
    until_answered,
)
from keyscope.wire.body import read_json_bytes
from keyscope.wire.call import Call, read_call
from keyscope.wire.codec import decode_strict
from keyscope.wire.forwarded import Proxies
from keyscope.wire.own import is_own
from keyscope.wire.problem import Answer
from keyscope.wire.target import canonical_path

log = logging.getLogger(__name__)

App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

CALLER = "keyscope"
"""Where the application finds the Caller in its scope."""

_MORE_HIDDEN = frozenset(b"proxy-authorization http2-settings x-original-path".split())
_HIDDEN = (NEVER_INWARD | _MORE_HIDDEN) - {b"cookie", b"host", b"expect"}
"""By these a caller could claim to be another one, or to have asked for something else."""
_ENDED = frozenset({"lifespan.shutdown.complete", "lifespan.shutdown.failed"})
_POLICY_VIOLATION = 1008


class Middleware:
    """Guards one application. Use ``keyscope.asgi.KeyscopeMiddleware``, which makes the judge."""

    def __init__(
        self,
        app: App,
        judge: Judge,
        *,
        exempt: Iterable[str] = (),
        max_header_bytes: int,
        max_body_bytes: int,
        body_timeout_s: float,
        proxies: Proxies | None = None,
    ) -> None:
        """``proxies`` stand in front of the application; None if it is not known who does."""
        self.app = app
        self._proxies = proxies
        self._judge = judge
        self._exempt = frozenset(map(_exempt, exempt))
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes
        self._body_timeout_s = body_timeout_s
        self._is_ready = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._other(scope, receive, send)
        if self._exempt and scope.get("raw_path") in self._exempt:
            _show(scope, None)
            return await self.app(scope, receive, send)
        try:
            call = self._read(scope)
            if not self._is_ready:
                await self._begin()
            verdict = await self._judge.admit(call)
        except Exception as error:
            verdict = refused(error)
        if not isinstance(verdict, Caller):
            return await self._not_yet(verdict, scope, receive, send)
        _show(scope, verdict)
        return await self.app(scope, receive, send)

    async def _not_yet(self, verdict: Verdict | Pending, scope: Scope, receive: Receive, send: Send) -> None:
        """A refusal, or a call whose body decides."""
        talk = Conversation(scope, receive, send)
        try:
            if isinstance(verdict, Pending):
                headers = scope["headers"]
                raw = await read_json_bytes(talk.receive, headers, self._max_body_bytes, self._body_timeout_s)
                verdict = await verdict.settle(decode_strict(raw) if raw else None)
                receive = _again(raw, receive)
        except Exception as error:
            verdict = refused(error)
        if not isinstance(verdict, (Caller, Lasting)):
            return await send_answer(talk.send, _refusal(verdict))
        return await self._pass(verdict, scope, receive, send)

    async def _pass(self, verdict: Caller | Lasting, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the application answer."""
        if isinstance(verdict, Caller):
            _show(scope, verdict)
            return await self.app(scope, receive, send)
        with until_answered(send, verdict.over) as ending:
            return await self._pass(verdict.caller, scope, receive, ending)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "websocket":
            await self._websocket(scope, receive, send)
        elif kind == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            log.error("a scope of the unknown type %r was refused", kind)

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judged as the GET that opens it. What its policy row says of a body cannot hold: there is none."""
        try:
            call = self._read(scope)
            await self._begin()
            verdict = await self._judge.admit(call)
            if isinstance(verdict, Pending):
                verdict = await verdict.settle(None)
        except Exception as error:
            verdict = refused(error)
        if isinstance(verdict, (Caller, Lasting)):
            await self._pass(verdict, scope, receive, send)
        elif "websocket.http.response" in scope.get("extensions", ()):
            await refuse_websocket(send, _refusal(verdict))
        else:
            # A close before the handshake is accepted is answered 403 (ASGI), without our reasons.
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Begin before the application does. What cannot begin does not start, with a server that listens to that."""
        first = await receive()
        try:
            await self._begin()
        except Exception as error:
            log.error("the gate cannot begin", exc_info=error)
            await send({"type": "lifespan.startup.failed", "message": f"keyscope: {_told(error)}"})
            return
        ending = False

        async def watched() -> Message:
            nonlocal ending
            message = await receive()
            ending = message["type"] == "lifespan.shutdown"
            return message

        async def told(message: Message) -> None:
            if message["type"] in _ENDED:
                await self._judge.close()  # before the server hears it, and ends what is still under way
            await send(message)

        try:
            # An application that does not know lifespan raises; the server then goes on without it, and so does this.
            await self.app(scope, _first(first, watched), told)
        finally:
            if ending:
                await self._judge.close()

    def _read(self, scope: Scope) -> Call:
        call = read_call(scope, self._max_header_bytes, self._proxies)
        if not _is_guarded(call.path, scope["path"]):
            raise OwnOperation
        return call

    async def _begin(self) -> None:
        """Open, once, and see that what nobody allowed is refused. Raises KeyscopeError."""
        if not self._is_ready:
            self._judge.open()
            for call in _probes():
                if not await self._refuses(call):
                    raise Unavailable("the self-test failed: a call that nobody allowed was let through")
            self._is_ready = True

    async def _refuses(self, call: Call) -> bool:
        try:
            return isinstance(await self._judge.admit(call), Answer)
        except Exception:
            return True  # which is how a call without a good key is refused


def _refusal(verdict: Answer | object) -> Answer:
    """The refusal. What is neither that nor a Caller is a fault of the judge, and lets nothing through either."""
    if isinstance(verdict, Answer):
        return verdict
    return refused(Unavailable(f"a judge answered with {type(verdict).__name__}"))


def _probes() -> list[Call]:
    """Calls to a path that nobody has: without a key, and with one that nobody issued."""
    path = f"/{secrets.token_hex(16)}"
    unknown = format_token(Kind.RESTRICTED, secrets.token_bytes(32)).reveal()
    heads: list[list[tuple[bytes, bytes]]] = [[], [(b"authorization", f"Bearer {unknown}".encode())]]
    return [Call(method="GET", path=path, query=b"", headers=head, peer="") for head in heads]


def _exempt(path: str) -> bytes:
    raw = path.encode("utf-8")
    try:
        canonical_path(raw)
    except BadTarget as error:
        raise ConfigurationError("exempt", [Fault(path, "this is not a plain path, like /healthz")]) from error
    return raw


def _show(scope: Scope, caller: Caller | None) -> None:
    """Make of the server's scope the application's. It is each request's own, so it is changed rather than copied.

    Names with anything but letters, digits and hyphens are hidden: some programs read every other one as a hyphen.
    """
    scope["headers"] = [header for header in scope["headers"] if _is_shown(header[0])]
    scope[CALLER] = caller


@lru_cache(maxsize=512)
def _is_shown(name: bytes) -> bool:
    return name not in _HIDDEN and name.replace(b"-", b"").isalnum() and not name.startswith(NEVER_INWARD_PREFIXES)


@lru_cache(maxsize=2048)
def _is_guarded(path: str, decoded: str) -> bool:
    """Whether the application may have this path. Raises BadTarget if it would route by another one than is judged."""
    if decoded != path and decoded != unquote(path, errors="strict"):
        raise BadTarget("two paths", [Fault("target", "the server reads it in two ways")])
    return not is_own(path)


def _again(raw: bytes, receive: Receive) -> Receive:
    """The body that was judged, byte for byte, and then what the server says."""
    return _first({"type": "http.request", "body": raw, "more_body": False}, receive)


def _first(message: Message, receive: Receive) -> Receive:
    waiting = [message]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


def _told(error: Exception) -> str:
    faults = [fault.message for fault in error.faults] if isinstance(error, ConfigurationError) else []
    return " ".join(faults) or (error.message if isinstance(error, Unavailable) else type(error).__name__)
