"""Nodes that do not acknowledge, for a while."""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from keyscope.gate.followers import folder_beside
from tests.nodes.team import Member


@contextmanager
def paused(member: Member) -> Iterator[None]:
    """Its lease lasts a while yet."""
    member.pause()
    try:
        yield
    finally:
        member.go_on()
        member.wait_ready()


@contextmanager
def slow_gate(member: Member) -> Iterator[None]:
    """The node beats on and acknowledges late: it waits for a gate of its host that never says that it has it."""
    folder = folder_beside(member.directory / "replica.db")
    folder.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as at, socket.socket(socket.AF_UNIX) as gate:
        gate.bind(f"{at}/gate")
        gate.listen(64)
        link = folder / "1-slow"
        link.symlink_to(f"{at}/gate")
        try:
            yield
        finally:
            link.unlink()
