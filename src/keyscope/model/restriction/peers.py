"""From where a key may be used: networks of addresses."""

from __future__ import annotations

from ipaddress import IPv6Network, ip_network

from msgspec import Struct

from keyscope.model.access import Access
from keyscope.model.body import Json
from keyscope.model.objection import Objection, Reason
from keyscope.model.peer import Address
from keyscope.model.restriction.given import Given

MOST_NETWORKS = 100
_MAPPED = IPv6Network("::ffff:0:0/96")


class Cidrs(Struct, frozen=True):
    """Networks in their one spelling, sorted; ``masks`` the same as version, mask and network numbers."""

    texts: tuple[str, ...]
    masks: tuple[tuple[int, int, int], ...]

    @classmethod
    def read(cls, given: Given) -> Cidrs | None:
        texts = given.words(MOST_NETWORKS, _network)
        return cls(texts, tuple(map(_mask, texts))) if texts else None

    @property
    def plain(self) -> Json:
        return list(self.texts)

    def hold(self, address: Address) -> bool:
        version, number = address
        return any(known == version and number & mask == network for known, mask, network in self.masks)

    def objection(self, access: Access, holder: str) -> Objection | None:
        peer = access.facts.peer if access.facts is not None else None
        if peer is None:
            return Objection(*_UNKNOWN, holder)
        return None if self.hold(peer) else Objection(*_OTHER, holder)


_OTHER = (
    Reason.OTHER_ADDRESS,
    "The key may be used only from certain addresses, and this call comes from another one.",
    "Call from one of its networks. The holder of a standard key (ak_) can change them.",
)
_UNKNOWN = (
    Reason.NOT_SEEN,
    "The key may be used only from certain addresses, and from where this call comes is not seen here.",
    "Ask the operator to name the proxies in front in KEYSCOPE_TRUSTED_PROXIES.",
)


def _network(given: Given) -> str | None:
    text = given.text()
    if text is None:
        return None
    try:
        network = ip_network(text)
    except ValueError:
        given.fault(f"this is no network: send one like 10.1.0.0/16 or 2001:db8::/32{_rounded(text)}")
        return None
    if isinstance(network, IPv6Network) and network.subnet_of(_MAPPED):
        given.fault("this is an IPv4 network in IPv6 form: send it as IPv4, like 10.1.0.0/16")
        return None
    return str(network)


def _rounded(text: str) -> str:
    """A hint for the commonest mistake: an address with a length that is not its own."""
    try:
        return f"; did you mean {ip_network(text, strict=False)}?"
    except ValueError:
        return ""


def _mask(text: str) -> tuple[int, int, int]:
    network = ip_network(text)
    return network.version, int(network.netmask), int(network.network_address)
