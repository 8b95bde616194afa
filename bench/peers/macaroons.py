"""pymacaroons: a token with three caveats."""

from __future__ import annotations

import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from pymacaroons import Macaroon, Verifier

from bench.peers import COUNT, METHOD, SCOPE, Peer

_PROVES = "the chain of HMACs, and three caveats: expiry, scope, method; no revocation, no route"
_ROOT = b"a root key of thirty-two bytes.."


def peers(_: Path) -> Iterator[Peer]:
    def allows(text: str) -> bool:
        verifier = Verifier()
        verifier.satisfy_exact(f"scope = {SCOPE}")
        verifier.satisfy_exact(f"method = {METHOD}")
        verifier.satisfy_general(_unexpired)
        try:
            return bool(verifier.verify(Macaroon.deserialize(text), _ROOT))
        except Exception:  # the library raises plain ones, too
            return False

    tokens = [_made(number, _ROOT) for number in range(COUNT)]
    yield Peer(f"pymacaroons {version('pymacaroons')}, three caveats", _PROVES, tokens, allows, _made(0, b"another"))


def _unexpired(caveat: str) -> bool:
    name, _, value = caveat.partition(" < ")
    return name == "time" and time.time() < int(value)


def _made(number: int, root: bytes) -> str:
    token = Macaroon(location="bench", identifier=f"key_{number}", key=root)
    for caveat in ("time < 4000000000", f"scope = {SCOPE}", f"method = {METHOD}"):
        token.add_first_party_caveat(caveat)
    return str(token.serialize())
