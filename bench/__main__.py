"""``python -m bench [--quick] [--only PART]``: measure, print, and write ``bench/results``."""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import time
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from bench import authorize, decide, derived, gate, life, standards, start
from bench.report import Part, markdown, write

PARTS: tuple[ModuleType, ...] = (decide, derived, life, authorize, gate, standards, start)
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


def main() -> int:
    options = argparse.ArgumentParser(prog="bench")
    options.add_argument("--quick", action="store_true", help="a look in a minute or two; nothing is written")
    options.add_argument("--only", choices=[part.NAME for part in PARTS], help="one part alone; nothing is written")
    asked = options.parse_args()
    parts = []
    for module in PARTS:
        if asked.only in (None, module.NAME):
            print(f"measuring {module.NAME} …", file=sys.stderr, flush=True)
            began = time.monotonic()
            rows = module.run(asked.quick)
            about = " ".join((module.__doc__ or "").split())
            parts.append(Part(module.NAME, about, rows, round(time.monotonic() - began, 1)))
    print(markdown(parts, machine(), asked.quick))
    if asked.only is None and not asked.quick:
        write(RESULTS, parts, machine())
    return 0


if __name__ == "__main__":
    sys.exit(main())
