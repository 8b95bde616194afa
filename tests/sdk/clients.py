"""The official clients under test, each run in a process of its own, and what they are told to do."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.sdks import node, old_python

from tests.programs import program

HERE = Path(__file__).parent
METHODS: dict[str, dict[str, str]] = json.loads((HERE.parent / "data" / "sdk-methods.json").read_text("utf-8"))
"""By client, the operation that each of its methods calls."""

TIMEOUT_S = 120.0


@dataclass(frozen=True)
class Call:
    """One method to call with one key. ``places`` are the path parameters; without ``arguments``, samples are sent."""

    method: str
    key: str
    places: int = 0
    arguments: dict[str, Any] | None = None
    bare: bool = False

    def as_job(self) -> dict[str, Any]:
        given = {} if self.arguments is None else {"arguments": self.arguments}
        return {"method": self.method, "key": self.key, "places": self.places, "bare": self.bare, **given}


@dataclass(frozen=True)
class Outcome:
    """What one call did. ``error`` is the class that the client raised, None if it returned."""

    error: str | None
    status: int | None = None
    reply: Any = None
    body: Any = None
    text: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Client:
    """One official client in one mode."""

    name: str
    asynchronous: bool = False

    @property
    def language(self) -> str:
        return self.name.partition("-")[0]

    @property
    def version(self) -> str:
        return self.name.partition("-")[2]

    @property
    def methods(self) -> dict[str, str]:
        return METHODS[self.name]

    def resource(self, name: str) -> str:
        """The resource's name in this language: ``restricted_keys`` or ``restrictedKeys``."""
        if self.language == "python":
            return name
        first, *rest = name.split("_")
        return first + "".join(part.title() for part in rest)

    def run(self, url: str, calls: list[Call], *, strict: bool = False) -> list[Outcome]:
        """Make the calls, one after another, with one client."""
        job = {
            "url": url,
            "asynchronous": self.asynchronous,
            "strict": strict,
            "calls": [call.as_job() for call in calls],
        }
        done = subprocess.run(
            self._command(),
            input=json.dumps(job),
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, f"ended with {done.returncode}: {done.stderr}"
        answer = json.loads(done.stdout)
        assert answer["version"] == self.version
        return [Outcome(**outcome) for outcome in answer["outcomes"]]

    def _command(self) -> list[str]:
        if self.language == "ts":
            return [program("node"), str(node() / "drive.mjs")]
        return [sys.executable, str(HERE / "drive.py")]

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("RUNLOOP_", "PYTHONPATH"))}
        old = {"PYTHONPATH": str(old_python())} if self.name == "python-1.32.0" else {}
        return {**kept, **old, "NO_PROXY": "*"}


CLIENTS = (
    Client("python-3.0.0"),
    Client("python-3.0.0", asynchronous=True),
    Client("python-1.32.0"),
    Client("python-1.32.0", asynchronous=True),
    Client("ts-1.32.0"),
)
