"""One incoming request, after the checks that hold for every request: method, size of its head, Host, target."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from keyscope.errors import BadRequest, ExpectationFailed, Fault, HeadersTooLarge, NotImplementedMethod
from keyscope.model.shown import shown
from keyscope.wire.asgi import RawHeaders
from keyscope.wire.forwarded import Proxies
from keyscope.wire.target import METHODS, canonical_path, check_query, matched_method

MAX_FIELDS = 100
_REQUEST_ID = re.compile(rb"[\x21-\x7e]{1,255}")
_FIELD_COST = 4  # ": " and CRLF
_JUDGED = frozenset({b"host", b"transfer-encoding", b"expect"})


class Call(Struct, frozen=True, kw_only=True):
    """A request whose head is sound. ``path`` is canonical; ``query`` is raw, without the question mark.

    ``peer`` is the address of the caller, empty if it is not known.
    """

    method: str
    path: str
    query: bytes
    headers: RawHeaders
    peer: str

    @property
    def target(self) -> str:
        """What to send on: the same bytes as came in."""
        return f"{self.path}?{self.query.decode('ascii')}" if self.query else self.path

    @property
    def matched_method(self) -> str:
        """The method to match."""
        return matched_method(self.method) if self.method == "HEAD" else self.method


def read_call(scope: Mapping[str, Any], max_header_bytes: int, proxies: Proxies | None = None) -> Call:
    """Check the head of a request. Raises a child of BadRequest, or NotImplementedMethod.

    ``proxies`` stand in front of the server; without them the peer is the other end of the connection.
    """
    headers: RawHeaders = scope["headers"]
    method = scope.get("method", "GET")  # a WebSocket handshake is a GET
    if method not in METHODS:
        raise NotImplementedMethod(repr(method[:32]))
    _check_head(headers, max_header_bytes, scope.get("http_version", "1.1"))
    query: bytes = scope["query_string"]
    if query:
        check_query(query)
    path = canonical_path(scope["raw_path"])
    peer = peer_of(scope) if proxies is None else proxies.caller(peer_of(scope), headers)
    return Call(method=method, path=path, query=query, headers=headers, peer=peer)


def peer_of(scope: Mapping[str, Any]) -> str:
    """The address of the other end of the connection."""
    client = scope.get("client")
    return client[0] if client else ""


def request_id(headers: RawHeaders) -> str | None:
    """``Idempotency-Key`` or ``x-request-id``: 1 to 255 visible ASCII characters; anything else counts as none.

    So does one that holds a key's text: it is written down (law 5).
    """
    for wanted in (b"idempotency-key", b"x-request-id"):
        values = [value for name, value in headers if name == wanted]
        if len(values) == 1 and _REQUEST_ID.fullmatch(values[0]):
            text = values[0].decode("ascii")
            return text if shown(text, len(text)) == text else None
    return None


def _check_head(headers: RawHeaders, max_header_bytes: int, version: str) -> None:
    """Number, size, and the fields that every request must get right, in one pass: this is the hot path."""
    if len(headers) > MAX_FIELDS:
        raise HeadersTooLarge(f"{len(headers)} fields")
    size = len(headers) * _FIELD_COST
    judged: RawHeaders = []
    for field in headers:
        name, value = field
        size += len(name) + len(value)
        if name in _JUDGED:
            judged.append(field)
    if size > max_header_bytes:
        raise HeadersTooLarge(f"more than {max_header_bytes} bytes")
    if len(judged) != 1 or judged[0][0] != b"host" or not judged[0][1]:  # nearly every request has Host alone
        _check_fields(judged, version)


def _check_fields(judged: RawHeaders, version: str) -> None:
    if any(name == b"expect" and value.lower() != b"100-continue" for name, value in judged):
        raise ExpectationFailed
    _check_host([value for name, value in judged if name == b"host"], version)
    codings = [value.lower() for name, value in judged if name == b"transfer-encoding"]
    # No transfer coding but chunked, and that once (RFC 9112 section 6.1): the upstream might undo others.
    if codings and codings != [b"chunked"]:
        raise BadRequest("transfer coding", [Fault("Transfer-Encoding", "the only coding that is taken is chunked")])


def _check_host(hosts: list[bytes], version: str) -> None:
    """Exactly one Host, not empty (RFC 9112 section 3.2). HTTP servers differ here, so it is counted again."""
    if len(hosts) > 1 or (version != "1.0" and not (hosts and hosts[0])):
        raise BadRequest("Host", [Fault("Host", "send exactly one Host header")])
