"""What can happen to the network of a node, done by the kernel of the machine."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.hosts.network import Network
from tests.hosts.wire import Wire
from tests.nodes.faults import Fault
from tests.nodes.team import Member

DELAY_S, LOSS = 0.15, 0.02
"""Of a bad cable: there and back it takes twice as long."""


class NetworkFault(NamedTuple):
    """``breaks`` befalls the host with this name and returns what mends it. ``closes`` as of a Fault."""

    name: str
    breaks: Callable[[Network, str], Callable[[], None]]
    closes: bool = True

    def of(self, network: Network) -> Fault:
        """The same for the harness of all faults."""
        mends: list[Callable[[], None]] = []

        def breaks(member: Member) -> None:
            mends.append(self.breaks(network, member.name))

        def mend(_: Member) -> None:
            mends.pop()()

        return Fault(self.name, breaks, mend, self.closes)


def _pull(network: Network, name: str) -> Callable[[], None]:
    network[name].pull()
    return network[name].put_back


def _deafen(network: Network, name: str) -> Callable[[], None]:
    network[name].refuses('iifname "data" drop')
    return network[name].takes_all


def _silence(network: Network, name: str) -> Callable[[], None]:
    network["pg"].refuses(f"ip saddr {network[name].data.address} drop")
    return network["pg"].takes_all


def _refuse(network: Network, name: str) -> Callable[[], None]:
    network["pg"].refuses(f"ip saddr {network[name].data.address} meta l4proto tcp reject with tcp reset")
    return network["pg"].takes_all


def _swallow_long(network: Network, name: str) -> Callable[[], None]:
    network[name].refuses('iifname "data" meta length > 600 drop')
    return network[name].takes_all


def _vanish(network: Network, name: str) -> Callable[[], None]:
    network[name].vanish()
    return network[name].appear


def _worsen(network: Network, name: str) -> Callable[[], None]:
    wire = Wire(network[name], DELAY_S, LOSS, Random(1))  # noqa: S311  (no secret)
    wire.start()
    return wire.end


NETWORK_FAULTS = (
    NetworkFault("the cable of a node is pulled", _pull),
    NetworkFault("nothing arrives at a node, what it sends does", _deafen),
    NetworkFault("nothing that a node sends arrives", _silence),
    NetworkFault("PostgreSQL's host refuses a node (RST)", _refuse),
    NetworkFault("long packets to a node are lost (MTU)", _swallow_long),
    NetworkFault("the interface of a node is gone", _vanish),
    NetworkFault("300 ms there and back, and 2 % of all frames lost", _worsen, closes=False),
)
