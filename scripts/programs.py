"""Programs beside Python: where they are, looked for beside Python, in the places of system programs, and among what
scripts/postgresql.py installs.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
from pathlib import Path

_OLDER_POSTGRESQL = str(Path(__file__).parent.parent / "tests" / "postgresql" / "node_modules" / ".bin")
_SYSTEM_PROGRAMS = os.pathsep.join(("/usr/local/sbin", "/usr/sbin", "/sbin"))


def find_program(name: str) -> str | None:
    """The program's path, or None where it is not installed."""
    elsewhere = os.pathsep.join((sysconfig.get_path("scripts"), _SYSTEM_PROGRAMS, _OLDER_POSTGRESQL))
    return shutil.which(name) or shutil.which(name, path=elsewhere)


def program(name: str) -> str:
    """The program's path. Raises FileNotFoundError where it is not installed."""
    found = find_program(name)
    if found is None:
        raise FileNotFoundError(f"{name} is not installed")
    return found
