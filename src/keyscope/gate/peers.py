"""Who is believed: proxies that ask Keyscope are answered only if the settings name the address they ask from."""

from __future__ import annotations

from ipaddress import ip_address

from keyscope.errors import PeerNotTrusted
from keyscope.model.peer import Network

_MOST_REMEMBERED = 1024


class TrustedPeers:
    """The addresses that are believed. Remembers what it found, because few proxies ask often."""

    def __init__(self, networks: tuple[Network, ...]) -> None:
        self._networks = networks
        self._found: dict[str, bool] = {}

    def check(self, peer: str) -> None:
        """Raise PeerNotTrusted unless the address is one of them."""
        trusted = self._found.get(peer)
        if trusted is None:
            trusted = bool(peer) and any(ip_address(peer) in network for network in self._networks)
            if len(self._found) < _MOST_REMEMBERED:
                self._found[peer] = trusted
        if not trusted:
            raise PeerNotTrusted(peer)
