"""``python -m bench [--quick] [--only PART …]``: measure, print, and write ``bench/results``."""

from __future__ import annotations

import argparse
import os
import platform
import re
import sqlite3
import subprocess
import sys
import time
import traceback
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from scripts.programs import find_program

from bench import (
    audit,
    authorize,
    counting,
    decide,
    derived,
    gate,
    haproxy,
    libraries,
    life,
    middleware,
    nodes,
    proxies,
    record,
    replies,
    scale,
    standards,
    start,
)
from bench.plots import draw
from bench.report import Missing, Part, left_out, markdown, write

PARTS: tuple[ModuleType, ...] = (
    decide,
    libraries,
    derived,
    life,
    record,
    authorize,
    audit,
    counting,
    proxies,
    haproxy,
    middleware,
    gate,
    replies,
    standards,
    start,
    scale,
    nodes,
)
_PROGRAMS = {
    "nginx": "-v",
    "haproxy": "-v",
    "envoy": "--version",
    "caddy": "version",
    "traefik": "version",
    "wrk": "-v",
    "node": "--version",
}
"""How each is asked for its version."""
RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    with Path("/proc/cpuinfo").open() as lines:
        models = {line.split(": ", 1)[1].strip() for line in lines if line.startswith("model name")}
    return {
        "Machine": f"{os.cpu_count()} cores, {', '.join(sorted(models))}, {platform.system()} {platform.release()}",
        "Python": f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "Versions": ", ".join(f"{name} {version(name)}" for name in ("keyscope", "granian", "aiohttp", "uvloop")),
        "Programs": ", ".join(f"{name} {said}" for name in _PROGRAMS if (said := _version(name))),
    }


def _version(name: str) -> str:
    """What the program says of its version; nothing where it is not installed."""
    found = find_program(name)
    if found is None:
        return ""
    done = subprocess.run([found, _PROGRAMS[name]], capture_output=True, text=True, check=False)
    number = re.search(r"\d+\.\d+(?:\.\d+)?", done.stdout + done.stderr)
    return number[0] if number else "of an unknown version"


def _measured(module: ModuleType, quick: bool) -> Part:
    """The part's rows; where it cannot be measured at all, one row that says why."""
    print(f"measuring {module.NAME} …", file=sys.stderr, flush=True)
    began = time.monotonic()
    try:
        rows = module.run(quick)
    except Missing as error:
        rows = [left_out("all of it", error)]
    about = " ".join((module.__doc__ or "").split())
    return Part(module.NAME, about, rows, round(time.monotonic() - began, 1), getattr(module, "NOTES", "note"))


def main() -> int:
    options = argparse.ArgumentParser(prog="bench")
    names = [part.NAME for part in PARTS]
    options.add_argument("--quick", action="store_true", help="a look in a few minutes; bench/results stays as it is")
    options.add_argument("--only", nargs="+", choices=names, help="these parts alone; bench/results stays as it is")
    options.add_argument("--into", type=Path, help="write here, whatever was measured")
    asked = options.parse_args()
    parts, failed = [], []
    for module in PARTS:
        if asked.only is None or module.NAME in asked.only:
            try:
                parts.append(_measured(module, asked.quick))
            except Exception:
                # The other parts are worth having after half an hour; nothing is written, and the exit code says it.
                traceback.print_exc()
                failed.append(module.NAME)
    print(markdown(parts, machine(), asked.quick))
    if failed:
        print(f"failed, so nothing is written: {', '.join(failed)}", file=sys.stderr)
        return 1
    into = asked.into or (RESULTS if asked.only is None and not asked.quick else None)
    if into is not None:
        write(into, parts, machine(), _plots(parts, into), quick=asked.quick)
    return 0


def _plots(parts: list[Part], into: Path) -> list[str]:
    try:
        return draw(parts, into)
    except Missing as error:
        print(f"no plots: {error}", file=sys.stderr)
        return []


if __name__ == "__main__":
    sys.exit(main())
