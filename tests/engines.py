"""A server with each engine: the built-in gate, and HAProxy judging by maps. For tests that hold of both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.haproxy.inside import Inside, until
from tests.live import Live
from tests.programs import requires_program
from tests.recorder import Recorder

ENGINES = ["builtin", pytest.param("haproxy", marks=requires_program("haproxy"))]


@pytest.fixture(scope="module", params=ENGINES)
def live(request: pytest.FixtureRequest, upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """Takes the place of the fixture with the same name, where a conftest says so. HAProxy judges from the start."""
    environment = {"KEYSCOPE_UPSTREAM_KEY": "ak_upstream_key_of_the_tests"}
    options = ["--engine", request.param]
    with Live(new_directory(), upstream=upstream.url, options=options, environment=environment) as server:
        if request.param == "haproxy":
            until(Inside(server).is_judging)
        yield server
