"""One incoming request, after the checks that hold for every request: method, size of its head, Host, target."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from keyscope.errors import BadRequest, ExpectationFailed, Fault, HeadersTooLarge, NotImplementedMethod
from keyscope.wire.asgi import RawHeaders
from keyscope.wire.target import METHODS, canonical_path, check_query, matched_method

MAX_FIELDS = 100
_FIELD_COST = 4  # ": " and CRLF


class Call(Struct, frozen=True, kw_only=True):
    """A request whose head is sound. ``path`` is canonical; ``query`` is raw, without the question mark."""

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
        return matched_method(self.method)


def read_call(scope: Mapping[str, Any], max_header_bytes: int) -> Call:
    """Check the head of a request. Raises a child of BadRequest, or NotImplementedMethod."""
    headers: RawHeaders = scope["headers"]
    method = scope.get("method", "GET")  # a WebSocket handshake is a GET
    if method not in METHODS:
        raise NotImplementedMethod(repr(method[:32]))
    _check_head(headers, max_header_bytes)
    _check_host(headers, scope.get("http_version", "1.1"))
    _check_framing(headers)
    if any(name == b"expect" and value.lower() != b"100-continue" for name, value in headers):
        raise ExpectationFailed
    query: bytes = scope["query_string"]
    check_query(query)
    path = canonical_path(scope["raw_path"])
    return Call(method=method, path=path, query=query, headers=headers, peer=peer_of(scope))


def peer_of(scope: Mapping[str, Any]) -> str:
    """The address of the other end of the connection."""
    client = scope.get("client")
    return client[0] if client else ""


def _check_head(headers: RawHeaders, max_header_bytes: int) -> None:
    if len(headers) > MAX_FIELDS:
        raise HeadersTooLarge(f"{len(headers)} fields")
    if sum(len(name) + len(value) + _FIELD_COST for name, value in headers) > max_header_bytes:
        raise HeadersTooLarge(f"more than {max_header_bytes} bytes")


def _check_framing(headers: RawHeaders) -> None:
    """No transfer coding but chunked, and that once (RFC 9112 section 6.1): the upstream might undo others."""
    codings = [value.lower() for name, value in headers if name == b"transfer-encoding"]
    if codings not in ([], [b"chunked"]):
        raise BadRequest("transfer coding", [Fault("Transfer-Encoding", "the only coding that is taken is chunked")])


def _check_host(headers: RawHeaders, version: str) -> None:
    """Exactly one Host, not empty (RFC 9112 section 3.2). HTTP servers differ here, so it is counted again."""
    hosts = [value for name, value in headers if name == b"host"]
    if len(hosts) > 1 or (version != "1.0" and not (hosts and hosts[0])):
        raise BadRequest("Host", [Fault("Host", "send exactly one Host header")])
