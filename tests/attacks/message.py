"""From a row to the bytes on the wire, for each face."""

from __future__ import annotations

from dataclasses import dataclass, replace

from keyscope.gate.forward import NGINX
from tests.attacks import token_ops
from tests.attacks.fixtures import Cast
from tests.attacks.placeholders import fill
from tests.attacks.rows import FORWARD_AUTH, Row

_NO_CREDENTIAL = frozenset({"absent", "in-headers", "in-raw"})

_IDENTITY = {"X-Auth-Key-Id": "X-Keyscope-Key-Id", "X-Auth-Account": "X-Keyscope-Account-Id"}
"""What the rows call the fields that tell the upstream who is calling, and what Keyscope calls them."""

_OVERWRITTEN = frozenset(
    [
        "host",
        "connection",
        "keep-alive",
        "te",
        "transfer-encoding",
        "expect",
        "upgrade",
        "content-length",
        "x-original-uri",
        "x-original-method",
        "x-original-content-length",
    ]
)
"""What nginx sets itself or leaves out of the sub-request, whatever the client sent."""


@dataclass(frozen=True)
class Request:
    """A request with every placeholder filled in."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes | None
    encoding: str
    secret: str | None

    def has(self, name: str) -> bool:
        return any(header.lower() == name for header, _ in self.headers)

    def bytes(self) -> bytes:
        """The request on the wire."""
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode(self.encoding) + (self.body or b"")


def compose(row: Row, face: str, host: str, cast: Cast) -> Request:
    """The row as a client sends it, or, for forward-auth, as nginx asks about it."""
    secret = _secret(row, host, cast)
    body = row.whole_body
    request = Request(
        method=fill(row.method, host, cast),
        target=fill(row.raw_path, host, cast),
        headers=tuple((name, _renamed(fill(value, host, cast))) for name, value in row.headers),
        body=fill(body, host, cast).encode(row.encoding) if body is not None else None,
        encoding=row.encoding,
        secret=secret,
    )
    if secret is not None and not request.has("authorization"):
        request = _with(request, "Authorization", f"Bearer {secret}")
    if face == FORWARD_AUTH and row.raw_path != "{{VERIFY_PATH}}":
        request = _asked_by_nginx(request)
    return _completed(request, host)


def raw_bytes(row: Row, host: str, cast: Cast) -> bytes:
    """The bytes of a row that gives the whole connection."""
    return fill(row.raw_request or "", host, cast).encode(row.encoding)


def h2_fields(row: Row, host: str, cast: Cast) -> list[tuple[bytes, bytes]]:
    """The fields of a row over HTTP/2."""
    return [
        (name.encode(row.encoding), _renamed(fill(value, host, cast)).encode(row.encoding))
        for name, value in row.h2_headers
    ]


def _secret(row: Row, host: str, cast: Cast) -> str | None:
    literal = any(operation.startswith("literal:") for operation in row.token_ops)
    if row.key in _NO_CREDENTIAL and not literal:
        return None
    text = "" if literal else cast[row.key].secret
    return fill(token_ops.apply(text, row.token_ops, lambda: cast.digest(row.key)), host, cast)


def _asked_by_nginx(request: Request) -> Request:
    passed = tuple((name, value) for name, value in request.headers if name.lower() not in _OVERWRITTEN)
    described = (("X-Original-URI", request.target), ("X-Original-Method", request.method))
    length = () if request.body is None else (("X-Original-Content-Length", str(len(request.body))),)
    headers = (*passed, *described, *length)
    return replace(request, method="GET", target=NGINX.path.decode(), headers=headers, body=None)


def _completed(request: Request, host: str) -> Request:
    if not request.has("host"):
        request = replace(request, headers=(("Host", host), *request.headers))
    if not request.has("connection"):
        request = _with(request, "Connection", "close")
    if request.body is not None and not request.has("content-length"):
        request = _with(request, "Content-Length", str(len(request.body)))
    return request


def _with(request: Request, name: str, value: str) -> Request:
    return replace(request, headers=(*request.headers, (name, value)))


def _renamed(value: str) -> str:
    for theirs, ours in _IDENTITY.items():
        value = value.replace(theirs, ours).replace(theirs.lower(), ours.lower())
    return value
