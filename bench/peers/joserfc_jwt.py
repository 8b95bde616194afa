"""joserfc: a JWT with a shared key, its claims validated."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

from bench.peers import COUNT, SCOPE, Peer

_PROVES = "the signature, the expiry, the scope in the token; no revocation, no route"


def peers(_: Path) -> Iterator[Peer]:
    key = OctKey.import_key("a key of thirty-two bytes, shared")
    registry = jwt.JWTClaimsRegistry(exp={"essential": True})

    def allows(token: str) -> bool:
        try:
            claims = jwt.decode(token, key, algorithms=["HS256"]).claims
            registry.validate(claims)
        except JoseError:
            return False
        return SCOPE in claims["scope"].split()

    def made(number: int) -> str:
        claims = {"sub": f"key_{number}", "scope": f"blueprints:read {SCOPE}", "exp": 4_000_000_000}
        return str(jwt.encode({"alg": "HS256"}, claims, key))

    tokens = [made(number) for number in range(COUNT)]
    name = f"joserfc {version('joserfc')}, HS256"
    yield Peer(name, _PROVES, tokens, allows, _forged(tokens[0], tokens[1]))


def _forged(token: str, other: str) -> str:
    """The claims of another token under the signature of this one."""
    head, _, signature = token.split(".")
    return f"{head}.{other.split('.')[1]}.{signature}"
