"""Traces: a server span for each call, in the caller's trace if it names one, and passed on to the upstream.

W3C Trace Context (https://www.w3.org/TR/trace-context/) version 00. Attributes are those of OpenTelemetry's semantic
conventions for HTTP servers, and what was decided. A caller that says that it does not sample is not traced. Nothing
here can hold a call up or refuse one: spans are dropped when there is no room for them.
"""

from __future__ import annotations

import re
import secrets
import time
from collections import deque
from contextvars import ContextVar

from keyscope.authority.refusing import error_of
from keyscope.authority.trail import Attempt
from keyscope.authority.verify import Verifier
from keyscope.errors import Refused
from keyscope.model.decision import Allow, Deny
from keyscope.model.key import Lineage
from keyscope.model.operation import Route
from keyscope.model.shapes import redacted
from keyscope.wire.asgi import App, Message, RawHeaders, Receive, Scope, Send

MOST_KEPT = 4096
"""Spans that wait to be sent."""

_PARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
_NAME = b"traceparent"
_SAMPLED = 1
_current: ContextVar[Span | None] = ContextVar("span", default=None)


class Span:
    """One call. Times are nanoseconds since 1970; ids are lower-case hex."""

    __slots__ = ("attributes", "began_ns", "ended_ns", "id", "method", "parent_id", "trace_id")

    def __init__(self, trace_id: str, parent_id: str, scope: Scope) -> None:
        self.trace_id = trace_id
        self.parent_id = parent_id
        self.id = secrets.token_hex(8)
        self.method: str = scope.get("method", "GET")
        self.began_ns = time.time_ns()
        self.ended_ns = 0
        client = scope.get("client")
        self.attributes: dict[str, str | int] = {
            "http.request.method": self.method,
            "url.scheme": scope.get("scheme", "http"),
            "url.path": redacted(scope["raw_path"].decode("latin-1")),
            "network.protocol.version": scope.get("http_version", "1.1"),
            **({"client.address": client[0]} if client else {}),
        }

    @property
    def name(self) -> str:
        """By the template of the operation, so that there are few of them."""
        route = self.attributes.get("http.route")
        return f"{self.method} {route}" if route else self.method

    @property
    def header(self) -> bytes:
        """What the upstream is told: this span is its parent."""
        return f"00-{self.trace_id}-{self.id}-01".encode("ascii")

    def answered(self, status: int) -> None:
        self.attributes["http.response.status_code"] = status
        if status >= 500:
            self.attributes["error.type"] = str(status)


class Traces:
    """Spans of one process, until they are taken to be sent."""

    def __init__(self) -> None:
        self._ended: deque[Span] = deque(maxlen=MOST_KEPT)

    async def around(self, app: App, scope: Scope, receive: Receive, send: Send) -> None:
        """Call the application within a span."""
        span = begun(scope)
        if span is None:
            return await app(scope, receive, send)

        async def noting(message: Message) -> None:
            if "status" in message:
                span.answered(message["status"])
            await send(message)

        token = _current.set(span)
        try:
            return await app(scope, receive, noting)
        finally:
            _current.reset(token)
            span.ended_ns = time.time_ns()
            self._ended.append(span)

    def take(self, most: int) -> list[Span]:
        """The oldest spans that have ended, for the caller alone."""
        return [self._ended.popleft() for _ in range(min(most, len(self._ended)))]


def begun(scope: Scope) -> Span | None:
    """A span for the call, whose headers then name it; None for one that its caller does not sample."""
    headers: RawHeaders = scope["headers"]
    named = [value for name, value in headers if name == _NAME]
    parent = _PARENT.fullmatch(named[0]) if len(named) == 1 else None
    if parent is not None and (set(parent[1]) == {0x30} or set(parent[2]) == {0x30}):
        parent = None  # ids of zeros are none
    if parent is not None and not int(parent[3], 16) & _SAMPLED:
        return None
    trace_id = parent[1].decode() if parent is not None else secrets.token_hex(16)
    span = Span(trace_id, parent[2].decode() if parent is not None else "", scope)
    dropped = {_NAME} if parent is not None else {_NAME, b"tracestate"}
    scope["headers"] = [*(field for field in headers if field[0] not in dropped), (_NAME, span.header)]
    return span


def watch(verifier: Verifier) -> None:
    """Have what is decided noted in the span of the call that it is about."""
    use, deny, refuse = verifier.note_use, verifier.note_denied, verifier.note_refused

    def note_use(allow: Allow) -> None:
        _decided("allowed", allow.lineage, allow.access.route, "")
        use(allow)

    def note_denied(denied: Deny, attempt: Attempt) -> None:
        _decided("refused", denied.lineage, denied.access.route, error_of(denied).code)
        deny(denied, attempt)

    def note_refused(error: Refused, attempt: Attempt) -> None:
        _decided("refused", None, None, error.code)
        refuse(error, attempt)

    verifier.note_use = note_use
    verifier.note_denied = note_denied  # type: ignore[method-assign]  # only where traces are asked for
    verifier.note_refused = note_refused  # type: ignore[method-assign]


def _decided(verdict: str, lineage: Lineage | None, route: Route | None, code: str) -> None:
    span = _current.get()
    if span is None:
        return
    noted = span.attributes
    noted["keyscope.verdict"] = verdict
    if code:
        noted["keyscope.code"] = code
    if lineage is not None:
        noted["keyscope.key.id"] = lineage.key.id
        noted["keyscope.account.id"] = lineage.key.account_id
    if route is not None and route.operations:
        noted["keyscope.operation"] = route.id
        noted["http.route"] = route.operations[0].template
