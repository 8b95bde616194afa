"""The matrix is asked of both engines: the built-in gate, and HAProxy judging by maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import Live
from tests.programs import requires_program
from tests.recorder import Recorder


@pytest.fixture(scope="module", params=["builtin", pytest.param("haproxy", marks=requires_program("haproxy"))])
def live(request: pytest.FixtureRequest, upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    environment = {"KEYSCOPE_UPSTREAM_KEY": "ak_upstream_key_of_the_tests"}
    options = ["--engine", request.param]
    with Live(new_directory(), upstream=upstream.url, options=options, environment=environment) as server:
        yield server
