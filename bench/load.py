"""Load with ``wrk``, from a core of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from bench import keys
from bench.processes import LOAD_CORE, pinned
from bench.report import Missing

KEYS_IN_TURN = 64
_SCRIPT = Path(__file__).parent / "programs" / "rotate.lua"
_ASKING = Path(__file__).parent / "programs" / "ask.lua"
_REPLAYING = Path(__file__).parent / "programs" / "replay.lua"
_UNITS = {"us": 1e-3, "ms": 1.0, "s": 1e3}


class Load(NamedTuple):
    """What one run of wrk saw."""

    requests: int
    per_s: float
    p50_ms: float
    p99_ms: float


class Refused(Exception):
    """Answers under load that were not a yes."""


def require_wrk() -> None:
    if shutil.which("wrk") is None:
        raise Missing("needs wrk (Debian: apt-get install wrk)")


def key_file(directory: Path, count: int = KEYS_IN_TURN) -> Path:
    """Keys to send, one a line."""
    path = directory / f"keys-{count}"
    path.write_text("".join(keys.secret(number).reveal() + "\n" for number in range(1, count + 1)))
    return path


def wrk(
    url: str,
    path: str,
    keys_in: Path,
    *,
    headers: Sequence[str] = (),
    paths: int = 1,
    connections: int = 32,
    seconds: int,
) -> Load:
    """Send GETs for so long, with the keys of a file in turn and so many paths in turn: in ``path`` ``{n}`` counts.

    Anything but 2xx answers is an error of the measurement.
    """
    return _run(_SCRIPT, url, [path, str(keys_in), str(paths), *headers], connections, seconds)


def post(
    url: str,
    path: str,
    bodies: Path,
    *,
    content_type: str,
    headers: Sequence[str] = (),
    connections: int = 32,
    seconds: int,
) -> Load:
    """Send POSTs for so long, with the bodies of a file in turn, one a line."""
    return _run(_ASKING, url, [path, str(bodies), content_type, *headers], connections, seconds)


def replay(url: str, requests: Path, status: int, pattern: str, *, connections: int, seconds: int) -> Load:
    """Send the requests of a file for so long. Raises Refused if an answer lacks this status, or this in its body."""
    arguments = [str(requests), str(status), *([pattern] if pattern else [])]
    said = _said(_REPLAYING, url, arguments, connections, seconds)
    refused = int(_found(r"refused: (\d+)", said))
    if refused or "Socket errors" in said:
        raise Refused(f"{refused} answers under load were no yes:\n{said}")
    return _load(said)


def _run(script: Path, url: str, arguments: Sequence[str], connections: int, seconds: int) -> Load:
    said = _said(script, url, arguments, connections, seconds)
    if "Non-2xx" in said or "Socket errors" in said:
        raise RuntimeError(f"wrk saw errors:\n{said}")
    return _load(said)


def _said(script: Path, url: str, arguments: Sequence[str], connections: int, seconds: int) -> str:
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s", "-s", str(script), url]
    command = pinned(LOAD_CORE, ["wrk", *options, "--", *arguments])
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _load(said: str) -> Load:
    requests = int(_found(r"(\d+) requests in", said))
    if not requests:
        raise RuntimeError(f"nothing was answered:\n{said}")
    per_s = float(_found(r"Requests/sec:\s+([\d.]+)", said))
    return Load(requests, per_s, _latency("50%", said), _latency("99%", said))


def _latency(part: str, said: str) -> float:
    """Of a line like ``     50%  103.00us``."""
    shown = _found(rf"(?m)^\s+{part}\s+([\d.]+[mu]?s) *$", said)
    number = shown.rstrip("mus")
    return float(number) * _UNITS[shown.removeprefix(number)]


def _found(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise RuntimeError(f"wrk said nothing like {pattern}:\n{text}")
    return found[1]
