"""Fixtures that everybody uses. Every file that a live server writes lies below ``work``, for the last test to read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.live import Live
from tests.postgres import Databases, running
from tests.recorder import Recorder

pytest_plugins = ["tests.programs"]

LAST = "test_no_secret_leaks.py"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    # The search for leaked secrets reads what all other tests left behind, so it comes last.
    items.sort(key=lambda item: item.path.name == LAST)


@pytest.fixture(scope="session")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where live servers keep their databases and logs."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="session")
def new_directory(work: Path) -> Callable[[], Path]:
    """A fresh directory below ``work`` each time."""
    numbers = count(1)

    def make() -> Path:
        directory = work / f"{next(numbers):03}"
        directory.mkdir()
        return directory

    return make


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """Databases of a PostgreSQL that runs as long as the tests do."""
    with running() as server:
        yield Databases(server)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Recorder]:
    """A recording upstream."""
    with Recorder() as recorder:
        yield recorder


@pytest.fixture(scope="module")
def live(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server with the Runloop policy in front of the recorder."""
    environment = {"KEYSCOPE_UPSTREAM_KEY": "ak_upstream_key_of_the_tests"}
    with Live(new_directory(), upstream=upstream.url, environment=environment) as server:
        yield server
