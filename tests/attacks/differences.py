"""Rows whose verdict this product misses on purpose, each with a safe verdict instead and the reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from tests.attacks.rows import API


@dataclass(frozen=True)
class Difference:
    """What the product answers instead, and why that is safe."""

    verdict: str
    reason: str


DIFFERENCES = {
    ("bdy-090", API): Difference(
        "200", "GET on this path is Keyscope's own list of keys: it reads no body and makes no key"
    ),
}
"""By row id and face."""


class Kind(StrEnum):
    """How the outcome at a gate differs from the row's verdict. The runner finds it out by itself."""

    OTHER_STATUS = "refused with another status"
    STRICTER = "refused, though it might pass"
    OTHER_WORDS = "same verdict, other words"
    PASSES = "passes, and does no harm"
    ANSWERED = "answered by the gate itself"


@dataclass(frozen=True)
class GateDifference:
    """Rows that come out differently at some gates. ``arrives`` is all that may arrive there, where they pass."""

    kind: Kind
    gates: tuple[str, ...]
    rows: tuple[str, ...]
    reason: str
    arrives: tuple[str, ...] = ()


_UNSEEN = "the body is not seen, so the scopes of every condition on it are needed"

_ENVOY = ("envoy", "envoy-grpc")
_HAPROXY = ("haproxy", "haproxy-fed")

BETWEEN_GATES = (
    GateDifference(Kind.STRICTER, ("caddy", "traefik", "envoy"), ("ctl-004",), _UNSEEN),
    GateDifference(Kind.OTHER_STATUS, ("envoy",), ("hdr-052",), _UNSEEN),
    GateDifference(Kind.STRICTER, ("nginx",), ("h2-001",), "nginx speaks HTTP/2 in clear only where it is told to"),
    GateDifference(Kind.OTHER_WORDS, ("nginx",), ("hdr-058",), "nginx writes the answer of a refusal itself"),
    GateDifference(Kind.OTHER_STATUS, _HAPROXY, ("smg-011",), "HAProxy refuses the codings by itself, with 422"),
    GateDifference(Kind.OTHER_STATUS, _ENVOY, ("smg-018",), "Envoy refuses HTTP/1.0 by itself, with 426"),
    GateDifference(
        Kind.PASSES,
        _ENVOY,
        ("hdr-044", "prx-048"),
        "Envoy goes by one of two Host fields; all go to the same upstream, which sees its own name alone",
        ("GET /v1/devboxes",),
    ),
    GateDifference(
        Kind.PASSES,
        ("traefik",),
        ("prx-092",),
        "Traefik decodes what needs no encoding before it asks, and sends on exactly what it asked about",
        ("GET /v1/devboxes",),
    ),
    GateDifference(
        Kind.PASSES,
        ("caddy", "traefik", "middleware"),
        ("prx-054", "prx-055", "prx-056", "prx-057"),
        "the call is allowed, and its body streams; the fault in it ends the message, which never becomes whole",
        ("a part of POST /v1/devboxes/dbx_1/execute_sync",),
    ),
    GateDifference(
        Kind.PASSES,
        ("middleware", "nginx", "caddy", "traefik", *_ENVOY),
        ("run-002",),
        "these see no replies, and so no devbox end; the key is good as long as its lease and its expiry, as it says",
        ("GET /v1/devboxes",),
    ),
    GateDifference(
        Kind.PASSES,
        ("middleware",),
        ("prx-079",),
        "the call is allowed and as long as it says; what comes behind it is no request, and ends the connection",
        ("POST /v1/devboxes/dbx_1/execute_sync",),
    ),
)
"""A difference that no run finds any more is stale, and fails the test."""
