"""Installs the official clients that the tests drive and that cannot live in the development environment.

Python 1.32.0 goes to .cache, beside 3.0.0 in the environment, with which it shares its dependencies; the TypeScript
client goes to tests/sdk/node/node_modules. Nothing is done twice.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLD_PYTHON = ROOT / ".cache" / "sdk" / "python-1.32.0"
NODE = ROOT / "tests" / "sdk" / "node"
_REQUIREMENTS = ROOT / "tests" / "sdk" / "python-1.32.0.txt"


def old_python() -> Path:
    """The folder to put on PYTHONPATH for runloop-api-client 1.32.0."""
    if not _is_done(OLD_PYTHON, _REQUIREMENTS):
        shutil.rmtree(OLD_PYTHON, ignore_errors=True)
        options = ["--quiet", "--no-deps", "--require-hashes", "--target", str(OLD_PYTHON), "-r", str(_REQUIREMENTS)]
        _run([*_pip(), "install", *options], ROOT)
        _set_done(OLD_PYTHON, _REQUIREMENTS)
    return OLD_PYTHON


def node() -> Path:
    """The folder in which Node finds @runloop/api-client 1.32.0."""
    npm_ci(NODE)
    return NODE


def npm_ci(folder: Path) -> bool:
    """Install what the lock of a folder names. False if it is there already."""
    modules, lock = folder / "node_modules", folder / "package-lock.json"
    if _is_done(modules, lock):
        return False
    _run(["npm", "ci", "--silent"], folder)
    _set_done(modules, lock)
    return True


def _pip() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    return ["uv", "pip"]


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)} failed; is the package registry reachable?\n{done.stdout}{done.stderr}"
        )


def _is_done(folder: Path, wanted: Path) -> bool:
    done = folder / ".done"
    return done.is_file() and done.read_bytes() == wanted.read_bytes()


def _set_done(folder: Path, wanted: Path) -> None:
    (folder / ".done").write_bytes(wanted.read_bytes())


if __name__ == "__main__":
    print(old_python())
    print(node() if shutil.which("npm") else "npm is not installed, so the TypeScript client is not either")
