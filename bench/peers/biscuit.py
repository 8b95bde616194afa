"""Biscuit: a token with rights as facts, and a request judged by datalog."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from biscuit_auth import (
    AuthorizationError,
    AuthorizerBuilder,
    Biscuit,
    BiscuitBuilder,
    BiscuitValidationError,
    KeyPair,
)

from bench.peers import COUNT, SCOPE, Peer

_PROVES = "the signature, the expiry as a check, the scope by a datalog policy; no revocation, no route"
_GRANTED = 'right("blueprints:read"); right({scope}); check if time($now), $now < 2090-01-01T00:00:00Z;'
_ASKED = "time({now}); allow if right({scope});"


def peers(_: Path) -> Iterator[Peer]:
    root, other = KeyPair(), KeyPair()

    def allows(token: str) -> bool:
        try:
            biscuit = Biscuit.from_base64(token, root.public_key)
            now = datetime.now(UTC)
            AuthorizerBuilder(_ASKED, {"now": now, "scope": SCOPE}).build(biscuit).authorize()
        except (BiscuitValidationError, AuthorizationError):
            return False
        return True

    def made(pair: KeyPair) -> str:
        return str(BiscuitBuilder(_GRANTED, {"scope": SCOPE}).build(pair.private_key).to_base64())

    tokens = [made(root) for _ in range(COUNT)]
    yield Peer(f"Biscuit (biscuit-python {version('biscuit-python')})", _PROVES, tokens, allows, made(other))
