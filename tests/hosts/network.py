"""Hosts of our own: namespaces of the kernel, each on two bridges that hang on nothing else.

Nodes, PostgreSQL and Valkey talk over the bridge ``data``, where faults happen; whoever asks the nodes does so over the
bridge ``load``, where none do. The addresses are of the networks that stand for none (RFC 5737). For a process that has
a network and mounts of its own (``lab``): all that is made here is gone when it ends.
"""

from __future__ import annotations

import subprocess

from scripts.programs import program

from tests.live import Place

NETWORKS = {"data": "192.0.2", "load": "198.51.100"}
_OURS = 254
"""This process, in each network."""


class Host:
    """``number`` is the end of its addresses."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self._number = number
        run(program("ip"), "netns", "add", name)
        self._enter = (program("nsenter"), f"--net=/run/netns/{name}")
        self._run(program("ip"), "link", "set", "lo", "up")
        for network in NETWORKS:
            self._plug(network)

    @property
    def data(self) -> Place:
        """Where it is reached by others of its kind."""
        return self._at("data")

    @property
    def load(self) -> Place:
        """Where it is reached by who asks it."""
        return self._at("load")

    @property
    def port(self) -> str:
        """The switch's end of its cable."""
        return f"{self.name}-data"

    def pull(self) -> None:
        """Its cable: there is no carrier any more."""
        run(program("ip"), "link", "set", self.port, "down")

    def put_back(self) -> None:
        run(program("ip"), "link", "set", self.port, "up")

    def vanish(self) -> None:
        """Its interface is gone, so nothing that runs there can say good-bye."""
        run(program("ip"), "link", "del", self.port)

    def appear(self) -> None:
        """It has its interface and address again."""
        self._plug("data")

    def refuses(self, what: str) -> None:
        """Have the kernel do something with packets that arrive here, in the words of nftables."""
        chain = f"type filter hook input priority 0; {what};"
        self._run(program("nft"), "-f", "-", given=f"table inet faults {{\n chain arrives {{ {chain} }}\n }}\n")

    def takes_all(self) -> None:
        self._run(program("nft"), "-f", "-", given="delete table inet faults\n")

    def _at(self, network: str) -> Place:
        return Place(f"{NETWORKS[network]}.{self._number}", self._enter)

    def _plug(self, network: str) -> None:
        cable = f"{self.name}-{network}"
        # Always the same hardware address, so that nobody looks for it at an earlier one.
        there = ("name", network, "netns", self.name, "address", f"02:00:00:00:00:{self._number:02x}")
        run(program("ip"), "link", "add", cable, "type", "veth", "peer", *there)
        run(program("ip"), "link", "set", cable, "master", network, "up")
        self._run(program("ip"), "address", "add", f"{self._at(network).address}/24", "dev", network)
        self._run(program("ip"), "link", "set", network, "up")

    def _run(self, *command: str, given: str = "") -> None:
        run(*self._enter, *command, given=given)


class Network:
    """The bridges, and the hosts that were put on them."""

    def __init__(self) -> None:
        run("mount", "-t", "tmpfs", "none", "/run")  # names of namespaces: of this process alone
        run(program("ip"), "link", "set", "lo", "up")
        for network, prefix in NETWORKS.items():
            run(program("ip"), "link", "add", network, "type", "bridge")
            run(program("ip"), "address", "add", f"{prefix}.{_OURS}/24", "dev", network)
            run(program("ip"), "link", "set", network, "up")
        self._hosts: dict[str, Host] = {}

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def add(self, name: str) -> Host:
        host = self._hosts[name] = Host(name, len(self._hosts) + 1)
        return host


def run(*command: str, given: str = "") -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
