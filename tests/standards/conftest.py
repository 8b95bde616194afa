"""Fixtures of the standards' tests: keys that ask, and another account beside the server's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.attacks.fixtures import World
from tests.live import Live


@pytest.fixture(scope="module")
def world(live: Live) -> Iterator[World]:
    """The store beside the server, with a second account."""
    made = World(live)
    yield made
    made.close()


@pytest.fixture(scope="module")
def asker(live: Live) -> str:
    """A restricted key that may ask about keys and nothing else."""
    secret: str = live.mint("account:read", name="asker")["key_secret"]
    return secret
