"""Fixtures of the gate's tests. A recorder forgets after each test how it was told to answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gate.raw import Raw
from tests.live import Live
from tests.recorder import Recorder, Reply


@pytest.fixture(autouse=True)
def plain_upstream(upstream: Recorder) -> Iterator[None]:
    yield
    upstream.respond = lambda _: Reply()
    upstream.stream = None
    upstream.take()
    upstream.partial.clear()


@pytest.fixture
def raw(live: Live) -> Iterator[Raw]:
    """A connection to the gate."""
    with Raw(live.port) as connection:
        yield connection


@pytest.fixture(scope="module")
def key(live: Live) -> str:
    """A restricted key that may do everything with devboxes."""
    secret: str = live.mint("devboxes:write")["key_secret"]
    return secret


@pytest.fixture(scope="module")
def hasty(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server with short limits, before the same upstream."""
    limits = ["--header-timeout-s", "0.5", "--body-timeout-s", "0.5", "--upstream-timeout-s", "0.5"]
    with Live(new_directory(), upstream=upstream.url, options=limits) as server:
        yield server
