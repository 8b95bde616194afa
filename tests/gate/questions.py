"""Envoy's questions as it puts them: CheckRequests with raw header fields, and what a CheckResponse says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from envoy.config.core.v3.base_pb2 import (  # type: ignore[import-untyped]  # xds-protos has no types
    HeaderValue,
    HeaderValueOption,
)
from envoy.service.auth.v3.external_auth_pb2 import (  # type: ignore[import-untyped]
    CheckRequest,
    CheckResponse,
)
from google.rpc.status_pb2 import Status  # type: ignore[import-untyped]

__all__ = ["CheckRequest", "CheckResponse", "HeaderValue", "HeaderValueOption", "Status"]

OK = 0
Fields = list[tuple[str, bytes]]


def fields(method: str, path: str, key: str | None, more: Fields | None = None) -> Fields:
    """The header fields of a request, as Envoy has them."""
    made = [(":authority", b"api.example.com"), (":path", path.encode()), (":method", method.encode())]
    credential = [("authorization", f"Bearer {key}".encode())] if key is not None else []
    return [*made, *credential, *(more or [])]


def asked(method: str, path: str, headers: Fields, body: bytes = b"", *, raw: bool = True) -> Any:
    """A CheckRequest with ``encode_raw_headers`` and ``pack_as_bytes``, or with joined lines if not ``raw``."""
    question = CheckRequest()
    http = question.attributes.request.http
    http.method, http.path, http.protocol, http.raw_body = method, path, "HTTP/1.1", body
    for name, value in headers:
        if raw:
            http.header_map.headers.add(key=name, raw_value=value)
        else:
            text = value.decode("latin-1")
            http.headers[name] = f"{http.headers[name]},{text}" if name in http.headers else text
    return question


def question(method: str, path: str, key: str | None, more: Fields | None = None, body: bytes = b"") -> bytes:
    """The bytes of a CheckRequest."""
    raw: bytes = asked(method, path, fields(method, path, key, more), body).SerializeToString()
    return raw


def shown(body: bytes) -> Fields:
    """What is said of a JSON body that is shown whole."""
    length = str(len(body)).encode()
    return [
        ("content-type", b"application/json"),
        ("content-length", length),
        ("x-envoy-auth-partial-body", b"false"),
    ]


@dataclass(frozen=True)
class Verdict:
    """What Envoy makes of a CheckResponse."""

    passes: bool
    status: int
    headers: dict[str, str]
    body: str
    removed: list[str]


def verdict(answer: bytes) -> Verdict:
    """As the filter reads it: a status code of 0, also an absent one, lets the call pass."""
    response: Any = CheckResponse.FromString(answer)
    passes = response.status.code == OK
    said = response.ok_response if passes else response.denied_response
    return Verdict(
        passes,
        200 if passes else said.status.code,
        {option.header.key: option.header.value for option in said.headers},
        "" if passes else said.body,
        list(said.headers_to_remove) if passes else [],
    )
