"""Every attack row that applies gets its verdict from a real server, over raw sockets.

The rows for a gate in front of an API are sent to every gate: see test_gates.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.attacks.differences import DIFFERENCES
from tests.attacks.rows import FACES, PROXY, Row, rows_for
from tests.attacks.runner import Runner, WrongVerdict
from tests.live import Live
from tests.recorder import Recorder

ENVIRONMENT = {"KEYSCOPE_UPSTREAM_KEY": "ak_upstream_key_of_the_tests", "KEYSCOPE_TRUSTED_PROXIES": "none"}
CASES = [pytest.param(row, face, id=f"{row.id}-{face}") for face in FACES if face != PROXY for row in rows_for(face)]


@pytest.fixture(scope="module")
def live(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server that was told that nobody stands in front of it."""
    with Live(new_directory(), upstream=upstream.url, environment=ENVIRONMENT) as server:
        yield server


@pytest.fixture(scope="module")
def runner(live: Live, upstream: Recorder) -> Iterator[Runner]:
    made = Runner(live, upstream)
    yield made
    made.close()


@pytest.mark.parametrize(("row", "face"), CASES)
def test_an_attack_row_gets_its_verdict(runner: Runner, row: Row, face: str) -> None:
    difference = DIFFERENCES.get((row.id, face))
    if difference is None:
        runner.run(row, face)
        return
    runner.run(row, face, (difference.verdict,))
    with pytest.raises(WrongVerdict):  # or else the difference is stale
        runner.run(row, face)
