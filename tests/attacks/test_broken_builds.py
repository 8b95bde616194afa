"""The rows can fail: each of these broken builds of the real server is caught by rows that the sound one passes.

Every row that a build names must notice it, and by the verdict: a build that only crashes proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.attacks.broken import (  # noqa: F401  (each registers its builds)
    api,
    door,
    held,
    judgement,
    restrictions,
    spending,
)
from tests.attacks.broken.build import BUILDS, Build
from tests.attacks.differences import DIFFERENCES
from tests.attacks.rows import BY_ID, PROXY, rows_for
from tests.attacks.runner import Runner, WrongVerdict
from tests.live import Live
from tests.recorder import Recorder

LAUNCH = Path(__file__).parent / "broken" / "launch.py"
AT_LEAST = 25
TRIES = 20
"""A fault of one millisecond shows only if a request meets it; every other one shows at once."""


def _cases(build: Build) -> list[tuple[str, str]]:
    """Row ids and faces."""
    return [(row.partition(":")[0], row.partition(":")[2] or PROXY) for row in build.rows]


def test_there_are_enough_of_them_and_every_row_is_one_that_the_sound_build_passes() -> None:
    assert len(BUILDS) >= AT_LEAST
    for build in BUILDS.values():
        for row_id, face in _cases(build):
            assert BY_ID[row_id] in rows_for(face), (row_id, face)
            assert (row_id, face) not in DIFFERENCES


@pytest.mark.parametrize("name", sorted(BUILDS))
def test_a_broken_build_is_caught(name: str, upstream: Recorder, new_directory: Callable[[], Path]) -> None:
    environment = {"KEYSCOPE_UPSTREAM_KEY": "ak_upstream_key_of_the_tests", "KEYSCOPE_TRUSTED_PROXIES": "none"}
    program = (str(LAUNCH), name)
    with Live(new_directory(), upstream=upstream.url, environment=environment, program=program) as live:
        runner = Runner(live, upstream)
        missed = [case for case in _cases(BUILDS[name]) if all(_passes(runner, *case) for _ in range(TRIES))]
        runner.close()
        assert "Traceback" not in live.log
    assert missed == [], f"these rows did not notice that {name}"


def _passes(runner: Runner, row_id: str, face: str) -> bool:
    try:
        runner.run(BY_ID[row_id], face)
    except WrongVerdict:
        return False
    return True
