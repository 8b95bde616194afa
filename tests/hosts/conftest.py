from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.namespaces import apart

ROOT = Path(__file__).parents[2]


class Lab:
    """``tests/hosts/lab.py`` in a network of its own. When it ends, so does all that it started and made."""

    def __init__(self, directory: Path) -> None:
        self._log = directory / "lab.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [*apart(), sys.executable, "-m", "tests.hosts.lab", str(directory)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def ask(self, question: str, *about: object) -> dict[str, Any]:
        """Fails if it could not be answered."""
        questions, answers = self._process.stdin, self._process.stdout
        assert questions is not None
        assert answers is not None
        questions.write(json.dumps([question, *about]) + "\n")
        questions.flush()
        line = answers.readline()
        assert line, self._log.read_text()
        said: dict[str, Any] = json.loads(line)
        assert "failed" not in said, said["failed"]
        return said

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    lab = Lab(tmp_path_factory.mktemp("hosts"))
    try:
        yield lab
    finally:
        lab.end()
