"""The example of docs/client.md runs, against a server that lets the call through, refuses it, or is gone."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.live import Live

PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def test_the_example_says_what_happens(new_directory: Callable[[], Path]) -> None:
    [example] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)

    def said(live: Live, key: str) -> str:
        environment = {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first, "PRESENTED_KEY": key}
        done = subprocess.run(
            [sys.executable, "-c", example], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    with Live(new_directory()) as live:
        reader, nobody = live.mint("devboxes:read")["key_secret"], live.mint()["key_secret"]
        assert said(live, reader) == "allowed"
        assert "lacks devboxes:read" in said(live, nobody)
        assert "keyscope keys update" in said(live, nobody)
        live.kill()
        assert said(live, reader) == "503: cannot be verified now"


def test_the_client_does_not_load_the_server() -> None:
    """A program that only asks does not pay for FastAPI, Granian and the rest."""
    heavy = ["fastapi", "starlette", "pydantic", "granian", "aiohttp", "sqlite3", "yaml", "cryptography", "uvloop"]
    program = f"import sys, keyscope.client; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
