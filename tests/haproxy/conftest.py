"""A server whose engine is HAProxy, in front of the recorder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.haproxy.inside import Inside, until
from tests.live import Live
from tests.programs import requires_program
from tests.recorder import Recorder

UPSTREAM_KEY = "ak_upstream_key_of_the_tests"
OPTIONS = ("--engine", "haproxy", "--engine-threads", "1")


def engine_live(directory: Path, upstream: str) -> Live:
    environment = {"KEYSCOPE_UPSTREAM_KEY": UPSTREAM_KEY}
    return Live(directory, upstream=upstream, options=OPTIONS, environment=environment)


@pytest.fixture(scope="module")
def engine(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with engine_live(new_directory(), upstream.url) as server:
        yield server


@pytest.fixture
def inside(engine: Live, upstream: Recorder) -> Inside:
    """Of an engine that judges."""
    found = Inside(engine)
    until(found.is_judging)
    upstream.take()
    return found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and {"engine", "fresh"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(requires_program("haproxy"))
