"""Fixtures of the client tests: each client in turn, each engine, and the relay that counts what a client sends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines import live
from tests.live import Live
from tests.programs import requires_program
from tests.sdk.clients import CLIENTS, Client
from tests.sdk.relay import Relay

__all__ = ["live"]


def _parameter(client: Client) -> object:
    mode = "-async" if client.asynchronous else ""
    marks = [requires_program("node")] if client.language == "ts" else []
    return pytest.param(client, id=client.name + mode, marks=marks)


@pytest.fixture(params=[_parameter(client) for client in CLIENTS])
def client(request: pytest.FixtureRequest) -> Client:
    """Each official client, in each mode."""
    chosen: Client = request.param
    return chosen


@pytest.fixture
def relay(live: Live) -> Iterator[Relay]:
    """A counter between client and server."""
    with Relay(live.port) as counting:
        yield counting
