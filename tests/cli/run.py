"""Run the command as a user does, in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def keyscope(
    *words: str, cwd: Path | None = None, stdin: str = "", env: Mapping[str, str] | None = None, **more: str
) -> subprocess.CompletedProcess[str]:
    """``keyscope WORDS…`` with these ``KEYSCOPE_`` variables alone, from ``env`` or by name. No traceback, ever."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KEYSCOPE_")}
    done = subprocess.run(
        [sys.executable, "-m", "keyscope", *words],
        cwd=cwd,
        env={**clean, **(env or {}), **more},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "Traceback" not in done.stdout + done.stderr, done.stderr
    return done
