"""A server that may tell this machine, and does not wait long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import Live
from tests.recorder import Recorder
from tests.webhooks.receiver import Receiver

QUICK = ("--webhook-targets", "private", "--webhook-wait-s", "0.1", "--webhook-tries", "3")


@pytest.fixture(scope="module")
def telling(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    options = [*QUICK, "--webhook-expiring-s", "60"]
    with Live(new_directory(), upstream=upstream.url, options=options) as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as one:
        yield one
