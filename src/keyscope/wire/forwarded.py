"""Who calls, where proxies stand in front: the rightmost address in X-Forwarded-For that is not one of theirs.

Everything to the left of it was written by the caller, who may write anything. What cannot be read is nobody.
"""

from __future__ import annotations

from keyscope.model.peer import Address, Network, address_of, holds
from keyscope.wire.asgi import RawHeaders

_FIELD = b"x-forwarded-for"
_LONGEST = 45
"""Characters of the longest address."""


class Proxies:
    """The proxies in front. ``networks`` are theirs; empty if there are none, so that the connection tells."""

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks

    def caller(self, peer: str, headers: RawHeaders) -> str:
        """The caller's address, from that of the connection and the header fields; empty if it cannot be known."""
        address = address_of(peer)
        if not self._networks or address is None or not self._is_ours(address):
            return peer
        # A proxy that calls for itself, for its health check say, names nobody.
        for text in _from_the_right(headers):
            found = address_of(text)
            if found is None:
                return ""
            peer = text
            if not self._is_ours(found):
                break
        return peer

    def _is_ours(self, address: Address) -> bool:
        return holds(self._networks, address)


def _from_the_right(headers: RawHeaders) -> list[str]:
    """The entries of all lines of the field, the last one first (RFC 9110 section 5.3: lines are joined in order)."""
    lines = [value for name, value in headers if name == _FIELD]
    entries = b",".join(lines).split(b",") if lines else []
    return [entry.strip()[: _LONGEST + 1].decode("latin-1") for entry in reversed(entries)]
