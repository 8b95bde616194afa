"""A long and bad cable between a host and the switch: every frame comes later, and some do not come at all.

The kernel's own way (``tc netem``) is missing on many machines, so frames are carried from here, as the kernel gives
them: what TCP makes of delay and loss is the kernel's.
"""

from __future__ import annotations

import heapq
import select
import socket
import threading
import time
from itertools import count
from random import Random

from scripts.programs import program

from tests.hosts.network import Host, run

_SOL_PACKET, _VNET_HEADER, _IGNORE_OUTGOING = 263, 15, 23
_EVERY_PROTOCOL = 3
_LONGEST = 1 << 17


class Wire:
    """``delay_s`` in each direction; ``loss`` of 1 would be all frames."""

    def __init__(self, host: Host, delay_s: float, loss: float, random: Random) -> None:
        self._host = host
        self._delay_s = delay_s
        self._loss = loss
        self._random = random
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._carry, daemon=True)

    def start(self) -> None:
        """Take the host's cable out of the switch, and carry frames between it and another one that is put in."""
        run(program("ip"), "link", "set", self._host.port, "nomaster", "promisc", "on")
        run(program("ip"), "link", "add", "wire", "promisc", "on", "up", "type", "veth", "peer", "name", "socket")
        run(program("ip"), "link", "set", "socket", "master", "data", "up")
        self._near, self._far = _frames_of(self._host.port), _frames_of("wire")
        self._thread.start()

    def end(self) -> None:
        self._ends.set()
        self._thread.join(10)
        self._near.close()
        self._far.close()
        run(program("ip"), "link", "del", "wire")
        run(program("ip"), "link", "set", self._host.port, "promisc", "off", "master", "data")

    def _carry(self) -> None:
        others = {self._near: self._far, self._far: self._near}
        numbers = count()
        under_way: list[tuple[float, int, socket.socket, bytes]] = []
        while not self._ends.is_set():
            wait_s = under_way[0][0] - time.monotonic() if under_way else 0.05
            ready, _, _ = select.select(others, (), (), max(0.0, min(wait_s, 0.05)))
            for end in ready:
                frame = end.recv(_LONGEST)
                if self._random.random() >= self._loss:
                    arrives = (time.monotonic() + self._delay_s, next(numbers), others[end], frame)
                    heapq.heappush(under_way, arrives)
            while under_way and under_way[0][0] <= time.monotonic():
                _, _, end, frame = heapq.heappop(under_way)
                end.send(frame)


def _frames_of(interface: str) -> socket.socket:
    """All frames that come in there, and a way out. With them comes what of their checksums is still to be done."""
    frames = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERY_PROTOCOL))
    frames.setsockopt(_SOL_PACKET, _VNET_HEADER, 1)
    frames.setsockopt(_SOL_PACKET, _IGNORE_OUTGOING, 1)
    frames.bind((interface, 0))
    return frames
