"""Every version of PostgreSQL that is said to do is run: the store's contract, opening, a batch, several nodes."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from scripts.postgresql import OLDER
from scripts.sdks import ROOT

from keyscope.store.postgres.connect import OLDEST_SERVER
from tests.programs import requires_program

TESTS = (
    "tests/store/test_postgres_store.py",
    "tests/store/test_postgres_opening.py",
    "tests/store/test_postgres_supposing.py",
    "tests/nodes/test_record.py::test_a_node_that_was_away_for_longer_than_changes_are_kept_copies_everything",
)


def test_the_oldest_is_the_oldest_that_keyscope_starts_on() -> None:
    assert int(OLDER[0]) * 10_000 == OLDEST_SERVER


@pytest.mark.parametrize(
    "version", [pytest.param(version, marks=requires_program(f"postgresql-{version}")) for version in OLDER]
)
def test_an_older_version_keeps_the_contract(version: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "POSTGRESQL": version}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
