"""Addresses of callers and networks of them, as numbers. An IPv4 address in IPv6 form (RFC 4291 2.5.5.2) is IPv4."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

Address = tuple[int, int]
"""Version (4 or 6) and number."""

Network = IPv4Network | IPv6Network


@lru_cache(maxsize=4096)
def address_of(text: str) -> Address | None:
    """The address; None for what is none. Addresses of a link's own zone (``fe80::1%eth0``) are none."""
    if "%" in text:
        return None
    try:
        found = ip_address(text)
    except ValueError:
        return None
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.version, int(found)


def holds(networks: tuple[Network, ...], address: Address) -> bool:
    """Whether the address is in one of the networks."""
    version, number = address
    return any(
        network.version == version and number & int(network.netmask) == int(network.network_address)
        for network in networks
    )
