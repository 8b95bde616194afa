"""``python -m bench [--quick] [--only PART …]``: measure, print, and write ``bench/results``."""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import time
import traceback
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from bench import (
    authorize,
    decide,
    derived,
    gate,
    haproxy,
    libraries,
    life,
    middleware,
    proxies,
    scale,
    standards,
    start,
)
from bench.report import Missing, Part, left_out, markdown, write

PARTS: tuple[ModuleType, ...] = (
    decide,
    libraries,
    derived,
    life,
    authorize,
    proxies,
    haproxy,
    middleware,
    gate,
    standards,
    start,
    scale,
)
RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, str]:
    """What the figures were measured on."""
    with Path("/proc/cpuinfo").open() as lines:
        models = {line.split(": ", 1)[1].strip() for line in lines if line.startswith("model name")}
    return {
        "Machine": f"{os.cpu_count()} cores, {', '.join(sorted(models))}, {platform.system()} {platform.release()}",
        "Python": f"{platform.python_version()}, SQLite {sqlite3.sqlite_version}",
        "Versions": ", ".join(f"{name} {version(name)}" for name in ("keyscope", "granian", "aiohttp", "uvloop")),
    }


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
    options.add_argument("--quick", action="store_true", help="a look in a few minutes; nothing is written")
    options.add_argument(
        "--only", nargs="+", choices=[part.NAME for part in PARTS], help="these parts alone; nothing is written"
    )
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
    if asked.only is None and not asked.quick:
        write(RESULTS, parts, machine(), [])
    return 0


if __name__ == "__main__":
    sys.exit(main())
