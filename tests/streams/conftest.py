"""What lasts is asked of both engines. A recorder forgets after each test how it was told to answer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engines import live
from tests.recorder import Recorder, Reply

__all__ = ["live"]


@pytest.fixture(autouse=True)
def plain_upstream(upstream: Recorder) -> Iterator[None]:
    yield
    upstream.respond = lambda _: Reply()
    upstream.stream = None
    upstream.take()
