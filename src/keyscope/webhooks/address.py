"""Where messages may go: an account names the address, and must not reach into the network that Keyscope stands in.

What a name stands for is looked at when the connection is made, and the connection goes to the very address that was
looked at, so a name that changes in between gains nothing.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from keyscope.errors import BadRequest, Fault

PUBLIC, PRIVATE = "public", "private"
"""Only public addresses over HTTPS; or every address, and this machine over plain HTTP too."""

MOST_CHARACTERS = 1000
_UNICAST = IPv6Network("2000::/3")
"""Other IPv6 addresses are of this machine or network, or lead to an IPv4 address."""


class NotAllowed(OSError):
    """The name stands for an address that messages may not go to."""


def check_url(url: str, targets: str) -> None:
    """Raise BadRequest unless messages may go to the URL, as far as it says itself."""
    why = _fault(url, targets)
    if why is not None:
        raise BadRequest("webhook address", [Fault("url", why)])


def _fault(url: str, targets: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "it is not a URL"
    if len(url) > MOST_CHARACTERS or not (url.isascii() and url.isprintable()) or " " in url:
        return f"use at most {MOST_CHARACTERS} plain characters"
    if not host or "@" in parts.netloc or parts.fragment:
        return "use a URL like https://example.com/hook, without user and fragment"
    if parts.scheme != "https" and not (parts.scheme == "http" and targets == PRIVATE and _is_this_machine(host)):
        return "use https"
    if _is_address(host) and not is_allowed(host, targets):
        return "it is an address that is not public; KEYSCOPE_WEBHOOK_TARGETS may allow those"
    if host == "localhost" and targets == PUBLIC:
        return "it is this machine; KEYSCOPE_WEBHOOK_TARGETS may allow that"
    return None


def is_allowed(address: str, targets: str) -> bool:
    """Whether messages may go to an IP address."""
    if targets == PRIVATE:
        return True
    found: IPv4Address | IPv6Address = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        if found.ipv4_mapped is None:
            return found in _UNICAST and found.is_global and found.sixtofour is None and found.teredo is None
        found = found.ipv4_mapped
    return found.is_global and not found.is_multicast


class GuardedResolver(AbstractResolver):
    """Finds the addresses of a name, and refuses the name if any of them is not allowed."""

    def __init__(self, targets: str) -> None:
        self._targets = targets
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError, NotAllowed included."""
        found = await self._resolver.resolve(host, port, family)
        if not all(is_allowed(result["host"], self._targets) for result in found):
            raise NotAllowed(f"{host} is not a public address")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_this_machine(host: str) -> bool:
    return host == "localhost" or (_is_address(host) and ip_address(host).is_loopback)
