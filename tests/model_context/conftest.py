"""The server of keys, the MCP server, and the gate between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import Live
from tests.model_context.running import POLICY, Gate, Weather


@pytest.fixture(scope="module")
def keys(new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A Keyscope with the policy of the weather tools."""
    with Live(new_directory(), options=["--policy", str(POLICY)]) as server:
        yield server


@pytest.fixture(scope="module")
def weather(new_directory: Callable[[], Path]) -> Iterator[Weather]:
    with Weather(new_directory()) as server:
        yield server


@pytest.fixture(scope="module")
def gate(new_directory: Callable[[], Path], keys: Live, weather: Weather) -> Iterator[Gate]:
    with Gate(new_directory(), keys.database, weather.url) as server:
        yield server


@pytest.fixture(scope="module")
def reader(keys: Live) -> str:
    """A key that may read forecasts."""
    secret: str = keys.mint("forecasts:read")["key_secret"]
    return secret


@pytest.fixture(scope="module")
def writer(keys: Live) -> str:
    """A key that may write stations."""
    secret: str = keys.mint("stations:write")["key_secret"]
    return secret


@pytest.fixture(autouse=True)
def forgotten(weather: Weather) -> None:
    """What earlier tests sent to the MCP server is of no interest."""
    weather.take()
