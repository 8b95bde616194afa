"""PyJWT: a signed list of scopes, once with a shared key and once with a key pair."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.peers import COUNT, SCOPE, Peer

_PROVES = "the signature, the expiry, the scope in the token; no revocation, no route"
_SHARED = b"a key of thirty-two bytes, shared"


def peers(_: Path) -> Iterator[Peer]:
    pair = Ed25519PrivateKey.generate()
    yield _peer("HS256", _SHARED, _SHARED)
    yield _peer("EdDSA", pair, pair.public_key())


def _peer(algorithm: str, signing: Any, verifying: Any) -> Peer:
    def allows(token: str) -> bool:
        try:
            claims = jwt.decode(token, verifying, algorithms=[algorithm])
        except jwt.InvalidTokenError:
            return False
        return SCOPE in claims["scope"].split()

    def made(number: int) -> str:
        claims = {"sub": f"key_{number}", "scope": f"blueprints:read {SCOPE}", "exp": 4_000_000_000}
        return jwt.encode(claims, signing, algorithm=algorithm)

    tokens = [made(number) for number in range(COUNT)]
    return Peer(f"PyJWT {jwt.__version__}, {algorithm}", _PROVES, tokens, allows, _forged(tokens[0]))


def _forged(token: str) -> str:
    """Another subject under the same signature."""
    head, _, signature = token.split(".")
    return f"{head}.eyJzdWIiOiJrZXlfMSJ9.{signature}"
