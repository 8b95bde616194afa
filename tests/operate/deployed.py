"""What the files in ``deploy`` start: a command line and its environment, and how it is tried on this machine."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from base64 import b64encode
from pathlib import Path

from msgspec import Struct

from keyscope.settings import SETTINGS, Settings, parse_settings
from tests.live import free_port, new_first_key

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
UPSTREAM = "https://api.runloop.ai"
COUNTERS = "redis://valkey:6379"
A_DATABASE = "postgresql://keyscope@postgres/keyscope"
"""What the file with the database's address holds, for who only reads the settings."""
START_S = 30.0
_FOLDERS = ("/var/lib/keyscope", "/run/secrets/keyscope", "/run/secrets", "/etc/keyscope", "%d")


class Start(Struct, frozen=True):
    """``keyscope`` with these words and this environment, as a file has them."""

    words: tuple[str, ...]
    environment: dict[str, str]

    @property
    def options(self) -> dict[str, str | None]:
        """The options by the name of their setting. Fails for one that there is not."""
        known = {setting.option: setting.name for setting in SETTINGS}
        assert self.words[0] == "serve"
        names, values = self.words[1::2], self.words[2::2]
        return {known[name]: value for name, value in zip(names, values, strict=True)}

    def settings(self) -> Settings:
        """As the server would read them. Files with secrets are left out, for they are not here."""
        known = {name for setting in SETTINGS for name in (setting.variable, setting.file_variable)}
        own = {name: value for name, value in self.environment.items() if name.startswith("KEYSCOPE_")}
        assert set(own) <= known, f"there are no such settings: {set(own) - known}"
        given = {name: value for name, value in own.items() if not name.endswith("_FILE")}
        if self.is_of_nodes:
            given["KEYSCOPE_DATABASE"] = A_DATABASE
        return parse_settings(self.options, given)

    @property
    def is_of_nodes(self) -> bool:
        """Whether several of these share a PostgreSQL."""
        return "KEYSCOPE_DATABASE_FILE" in self.environment

    def here(self, folder: Path, upstream: str, counters: str, port: int) -> Start:
        """The same in a folder of this machine, with an upstream and counters of this machine."""

        def local(text: str) -> str:
            for name in _FOLDERS:
                text = text.replace(name, str(folder))
            text = text.replace(UPSTREAM, upstream).replace(COUNTERS, counters)
            return text.replace("0.0.0.0", "127.0.0.1")  # noqa: S104  (taken away)

        own = {name: local(value) for name, value in self.environment.items() if name.startswith("KEYSCOPE_")}
        if self.is_of_nodes:
            own.pop("KEYSCOPE_DATABASE", None)  # of the image; the file of this one takes its place
        return Start(tuple(map(local, self.words)), {**own, "KEYSCOPE_PORT": str(port)})


def starts(start: Start, folder: Path, upstream: str, database: str = "", counters: str = "") -> None:
    """Run it until it says that it is ready, ask it, and end it. Fails if any of that does not work."""
    (folder / "upstream-key").write_text("upstream-secret\n")
    (folder / "database-url").write_text(database + "\n")
    (folder / "first-key").write_text(new_first_key() + "\n")
    (folder / "held-key").write_text(b64encode(os.urandom(32)).decode() + "\n")
    port = free_port()
    here = start.here(folder, upstream, counters, port)
    clean = {name: value for name, value in os.environ.items() if not name.startswith("KEYSCOPE_")}
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "keyscope", *here.words],
            cwd=folder,
            env={**clean, **here.environment},
            stdout=log,
            stderr=log,
        )
    try:
        end = time.monotonic() + START_S
        while b"is ready on" not in (folder / "output.log").read_bytes():
            assert process.poll() is None and time.monotonic() < end, (folder / "output.log").read_text()  # noqa: PT018
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait(10)


def unit(file: Path) -> dict[str, list[str]]:
    """The settings of a systemd unit, all sections together: a name may stand more than once."""
    found: dict[str, list[str]] = {}
    for line in file.read_text().splitlines():
        if line and line[0] not in "#;[":
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def instructions(file: Path) -> list[tuple[str, str]]:
    """The instructions of a Containerfile."""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in text.splitlines() if line)]


def image_environment() -> dict[str, str]:
    """What the image sets."""
    found = instructions(DEPLOY / "container" / "Containerfile")
    pairs = (part.partition("=") for name, rest in found if name == "ENV" for part in shlex.split(rest))
    return {name: value for name, _, value in pairs}
