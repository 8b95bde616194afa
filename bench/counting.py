"""Keys whose use is limited: how many calls are counted, durable within a second, by one process and by two at once.

Each figure is of one key, so all calls draw on the same budget. A second thread makes the counts durable each second,
as in a server. Beside it stands the same loop over a bare SQLite transaction of one row, with the same settings.
"""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from bench.report import Row, at_least, known
from keyscope.authority.counters import Budget, Counters
from keyscope.store.counters_open import open_counters

NAME = "counting"
_PLENTY = 1 << 40
_USES = Budget(holder="key_uses", uses=_PLENTY)
_RATE = Budget(holder="key_rate", requests=1000, per_ms=1)
_PLACES = Budget(holder="key_places", parallel=4)
_LINE = (_USES, *(Budget(holder=f"key_above_{number}", uses=_PLENTY) for number in range(3)))


def run(quick: bool) -> list[Row]:
    seconds = 1.0 if quick else 5.0
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "keyscope.db.counters"
        with _tidied(path) as counters:
            alone = _per_s(_taking(counters, _USES), seconds)
            line = _per_s(_taking(counters, *_LINE), seconds)
            rate = _per_s(_taking(counters, _RATE), seconds)
            places = _per_s(_holding(counters), seconds)
        bare = _per_s(_bare(Path(name) / "bare.db"), seconds)
        together = _together(path, seconds)
    return [
        Row("uses counted on one key", alone, "/s", at_least(5_000)),
        Row("a bare SQLite transaction", bare, "/s", known()),
        Row("uses of a key with three limited keys above it", line, "/s", known()),
        Row("calls counted against a rate of 1,000", rate, "/s", known()),
        Row("places taken and given back", places, "/s", known()),
        Row("uses counted on one key by two processes at once", together, "/s", at_least(5_000)),
    ]


@contextlib.contextmanager
def _tidied(path: Path) -> Iterator[Counters]:
    counters, ended = open_counters(path), threading.Event()

    def tidy() -> None:
        while not ended.wait(1.0):
            counters.tidy()

    thread = threading.Thread(target=tidy)
    thread.start()
    try:
        yield counters
    finally:
        ended.set()
        thread.join()
        counters.close()


def _taking(counters: Counters, *budgets: Budget) -> Callable[[], object]:
    def take() -> None:
        if counters.take(budgets, time.time_ns() // 1_000_000) and budgets[0].requests is None:
            raise RuntimeError("there was plenty")

    return take


def _holding(counters: Counters) -> Callable[[], object]:
    def hold() -> None:
        if counters.take([_PLACES], 0):
            raise RuntimeError("a place was not given back")
        counters.give_back([_PLACES])

    return hold


def _bare(path: Path) -> Callable[[], object]:
    connection = sqlite3.connect(path, isolation_level=None)
    for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = NORMAL", "CREATE TABLE used (n INTEGER)"):
        connection.execute(statement)
    connection.execute("INSERT INTO used VALUES (0)")

    def count() -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE used SET n = n + 1")
        connection.execute("COMMIT")

    return count


def _per_s(work: Callable[[], object], seconds: float) -> float:
    began, done = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < seconds:
        for _ in range(100):
            work()
        done += 100
    return done / took


def _together(path: Path, seconds: float) -> float:
    """What two processes count in the same time."""
    code = "import sys; from bench.counting import one_of_two; one_of_two(sys.argv[1], float(sys.argv[2]))"
    command = [sys.executable, "-c", code, str(path), str(seconds)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return sum(float(process.communicate(timeout=60 + seconds)[0]) for process in processes)


def one_of_two(path: str, seconds: float) -> None:
    """The body of one of them: it prints its own calls per second."""
    with _tidied(Path(path)) as counters:
        print(_per_s(_taking(counters, _USES), seconds))
