"""The peer in bench/peers/better-auth: installed once with npm in ``.cache/bench``, run on the servers' core."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import AbstractContextManager
from pathlib import Path

from bench import keys
from bench.processes import Running, free_port, running
from bench.report import Missing

_SOURCE = Path(__file__).parent / "peers" / "better-auth"
VERSION: str = json.loads((_SOURCE / "package.json").read_text())["dependencies"]["better-auth"]


def serving(mode: str, directory: Path, key_count: int) -> AbstractContextManager[Running]:
    """The plugin with so many keys, the same texts as Keyscope's. ``mode`` is ``map`` or ``sqlite``."""
    place = directory / f"better-auth-{mode}"
    place.mkdir()
    (place / "tokens").write_text("\n".join(keys.secret(number).reveal() for number in range(1, key_count + 1)))
    port = free_port()
    command = ["node", str(_SOURCE / "server.mjs"), mode, str(port), str(place), str(installed())]
    return running(command, port, place / "log", environment={"NODE_ENV": "production"})


def installed() -> Path:
    """The directory with the peer's modules."""
    home = (keys.CACHE / "better-auth").resolve()
    if not (home / "done").exists():
        if shutil.which("npm") is None:
            raise Missing("needs Node.js 20 and npm (Debian: apt-get install nodejs npm)")
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(_SOURCE / "package.json", home)
        options = ["--legacy-peer-deps", "--no-package-lock", "--no-audit", "--no-fund"]
        subprocess.run(["npm", "install", *options], cwd=home, check=True)
        (home / "done").touch()
    return home
