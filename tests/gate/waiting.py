"""Waiting for what another process does, without guessing how long it takes."""

from __future__ import annotations

import time
from collections.abc import Callable


def wait_until(happened: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait for something that another process does. Fails if it does not happen in time."""
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.01)
