"""From a thousand keys to a million: what grows with their number, and what does not.

Measured at each size: the file, the memory that the server holds beyond pages of files (RssAnon) after its first calls,
the time from its start to its first judged call, a decision in process hot and cold (as in `decide`), and over HTTP, by
forward-auth, how long after the answer to a revocation the next use is refused. Ten million keys are not measured:
their row is a straight line through the measured sizes, in the number of keys or in its logarithm, as its note says;
where that line falls, which is noise, the highest of the measured ones.
"""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from statistics import linear_regression, median

from bench import decide, keys, revocation
from bench.connection import until_allowed
from bench.judging import HOT_KEYS, judge_over
from bench.measure import each_us, interleaved, medians, percentile
from bench.processes import SERVER_CORE, anonymous_mib, free_port, pinned, serve_command
from bench.report import Point, Row, at_most, known

NAME = "scale"
NOTES = "how"
_SIZES = (1_000, 10_000, 100_000, 1_000_000)
_BEYOND = 10_000_000
_USE = "/keyscope/authorize/nginx"
_USED = ("X-Original-URI: /v1/devboxes/dbx_30xQ2cP9bYyh1", "X-Original-Method: GET")
_START_S = 60
_CURVES = {
    "file": ("MiB", False),
    "memory of the server": ("MiB", False),
    "start to the first judged call": ("s", False),
    "verify + authorise, hot key": ("µs", True),
    "verify + authorise, cold key": ("µs", True),
    "revoke answered to use refused, p50": ("ms", True),
    "revoke answered to use refused, p99": ("ms", True),
}
"""By curve its unit, and whether it follows the logarithm of the number of keys rather than the number."""


def run(quick: bool) -> list[Row]:
    sizes = _SIZES[:-1] if quick else _SIZES
    measured = [_at(size, quick) for size in sizes]
    rows: list[Row] = []
    for curve, (unit, logarithmic) in _CURVES.items():
        values = [found[curve] for found in measured]
        rows += [_row(curve, size, value, unit, "measured") for size, value in zip(sizes, values, strict=True)]
        rows.append(_beyond(curve, sizes, values, unit, logarithmic))
    accepted = sum(found["accepted"] for found in measured)
    return [*rows, Row("uses accepted after the revocation was answered, all sizes", accepted, "uses", at_most(0))]


def _row(curve: str, size: int, value: float, unit: str, note: str) -> Row:
    return Row(f"{curve}, {size:,} keys", value, unit, known(), note, Point(curve, size))


def _beyond(curve: str, sizes: Sequence[int], values: Sequence[float], unit: str, logarithmic: bool) -> Row:
    value, formula = extrapolated(sizes, values, _BEYOND, logarithmic)
    note = f"not measured: {formula}, from the {len(sizes)} sizes above"
    return Row(f"{curve}, {_BEYOND:,} keys", value, unit, known(), note)


def extrapolated(sizes: Sequence[int], values: Sequence[float], to: int, logarithmic: bool) -> tuple[float, str]:
    """The least-squares line at ``to``, and its formula in n, the number of keys. More keys never cost less."""
    along: Callable[[float], float] = math.log10 if logarithmic else float
    slope, start = linear_regression([along(size) for size in sizes], values)
    if slope <= 0:
        return max(values), "does not grow, the highest value"
    return start + slope * along(to), f"{start:.3g} {slope:+.3g} · {'log₁₀ n' if logarithmic else 'n'}"


def _at(size: int, quick: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        database = keys.a_copy(size, Path(name))
        keys.warm(database)
        found = {"file": database.stat().st_size / (1 << 20)}
        found |= _in_process(database, size, quick)
        return found | _as_server(database, size, quick)


def _in_process(database: Path, size: int, quick: bool) -> dict[str, float]:
    calls, rounds = (300, 3) if quick else (900 if size == _SIZES[0] else 5_000, 9)
    hot = [keys.token(number) for number in range(1, HOT_KEYS + 1)]
    unseen = decide.numbers(size)

    def cold() -> float:
        """A verifier that has seen no key yet, each round, so that a small database serves for all rounds."""
        with judge_over(database) as judge:
            tokens = [keys.token(number) for number in islice(unseen, calls)]
            judge.allowed(hot[0])
            return each_us(judge.allowed, tokens)

    with judge_over(database) as judge:
        turns = [hot[number % HOT_KEYS] for number in range(calls)]
        us = medians(interleaved({"hot": lambda: each_us(judge.allowed, turns), "cold": cold}, rounds))
    return {f"verify + authorise, {kind} key": us[kind] for kind in ("hot", "cold")}


def _as_server(database: Path, size: int, quick: bool) -> dict[str, float]:
    starts, count = (1, 30) if quick else (3, 300)
    took, memory, cycles = [], [], list[revocation.Cycle]()
    for number in range(starts):
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        process = subprocess.Popen(pinned(SERVER_CORE, serve_command(database, port)), stderr=subprocess.DEVNULL)
        try:
            took.append(until_allowed(url, _USE, keys.secret(size).reveal(), _START_S, _USED))
            memory.append(anonymous_mib(process.pid))
            if number == starts - 1:
                cycles = revocation.cycles(url, _USE, count, _USED)
        finally:
            process.terminate()
            process.wait(_START_S)
    refused = [cycle.refused_ms for cycle in cycles]
    return {
        "memory of the server": median(memory),
        "start to the first judged call": median(took),
        "revoke answered to use refused, p50": median(refused),
        "revoke answered to use refused, p99": percentile(refused, 0.99),
        "accepted": float(sum(cycle.accepted for cycle in cycles)),
    }
