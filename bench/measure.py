"""Timing: interleaved rounds and their medians.

One number says little on a shared machine. Everything that is compared is measured in turn, round by round, so that a
disturbance meets all alike, and the median of the rounds is what counts.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

Measure = Callable[[], float]


def interleaved(measures: Mapping[str, Measure], rounds: int) -> dict[str, list[float]]:
    """Each measure once a round, every second round backwards."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for number in range(rounds):
        names = list(measures) if number % 2 == 0 else list(measures)[::-1]
        for name in names:
            found[name].append(measures[name]())
    return found


def medians(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {name: median(values) for name, values in found.items()}


def ratios(found: Mapping[str, Sequence[float]], one: str, other: str) -> float:
    """The median of the ratios of each round, whose runs stand next to each other in time."""
    return median(mine / theirs for mine, theirs in zip(found[one], found[other], strict=True))


def each_us(call: Callable[[Any], object], inputs: Iterable[Any]) -> float:
    """Microseconds of processor time a call, over all inputs once. The loop itself is taken off.

    Processor time, because a neighbour that takes the core away says nothing about the call, which never waits.
    """
    given = list(inputs)
    gc.collect()
    gc.disable()
    try:
        return (_loop_ns(call, given) - _loop_ns(_nothing, given)) / len(given) / 1000
    finally:
        gc.enable()


def percentile(values: Sequence[float], part: float) -> float:
    """The value below which ``part`` (0 to 1) of the values lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


def _loop_ns(call: Callable[[Any], object], inputs: list[Any]) -> int:
    start = time.thread_time_ns()
    for one in inputs:
        call(one)
    return time.thread_time_ns() - start


def _nothing(_: object) -> None:
    return None
