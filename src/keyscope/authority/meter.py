"""What one process counts for its operators, in plain numbers: cheap where calls are judged, and added up elsewhere.

Labels are of small sets: operations of the policy, codes of errors, names of gates. Never a key, a path or an address,
so that no caller can make the numbers grow.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from threading import Lock

from msgspec import Struct

from keyscope.authority.trail import DENIED, Batch

ALLOWED, REFUSED, OBSERVED = "allowed", "refused", "observed"

JUDGING_S = (5e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 5e-3, 2.5e-2, 0.1)
UPSTREAM_S = (1e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0)
REVOKING_S = (1e-3, 2e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.5, 1.0, 2.5)
"""Upper bounds of the steps of each kind of time, in seconds."""


class Timing(Struct):
    """Times by step, and their sum in seconds. ``steps`` has one more than ``bounds``, for what is above all."""

    bounds: tuple[float, ...]
    steps: list[int]
    total_s: float = 0.0

    def add_sorted(self, seconds: Sequence[float]) -> None:
        """Add times, smallest first. Many at once cost much less than one by one."""
        ends = [bisect_right(seconds, bound) for bound in self.bounds]
        for step, (end, begin) in enumerate(zip([*ends, len(seconds)], [0, *ends], strict=True)):
            self.steps[step] += end - begin
        self.total_s += sum(seconds)


def timing(bounds: tuple[float, ...]) -> Timing:
    """No times yet."""
    return Timing(bounds, [0] * (len(bounds) + 1))


class Times:
    """Takes times where they arise, and sorts them into steps when somebody asks: to add one costs next to nothing."""

    __slots__ = ("_taken", "_timing", "add")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._timing = timing(bounds)
        self._taken: list[float] = []
        self.add: Callable[[float], None] = self._taken.append
        """Add one time, in seconds."""

    def sorted(self) -> Timing:
        """All that was taken until now. To be called every second or so, for what is not sorted takes memory."""
        count = len(self._taken)  # the thread that serves goes on adding at the end
        taken = sorted(self._taken[:count])
        del self._taken[:count]
        self._timing.add_sorted(taken)
        return self._timing


class Counts(Struct, frozen=True):
    """Everything that was counted, as a value to write down or to add up.

    ``calls`` are by operation, verdict and code; ``deliveries`` by outcome; ``judging`` by gate.
    """

    calls: list[tuple[tuple[str, str, str], int]]
    deliveries: list[tuple[str, int]]
    judging: dict[str, Timing]
    upstream: Timing
    revoking: Timing


class Meter:
    """Counts for one process. ``judged`` and the timings belong to the thread that serves."""

    def __init__(self) -> None:
        self._calls: Counter[tuple[str, str, str]] = Counter()
        self._deliveries: Counter[str] = Counter()
        self._judging: dict[str, Times] = {}
        self.upstream = Times(UPSTREAM_S)
        self.revoking = Times(REVOKING_S)
        self._lock = Lock()

    def judging(self, gate: str) -> Times:
        """The time that judging takes at one gate; the same object each time."""
        return self._judging.setdefault(gate, Times(JUDGING_S))

    def add(self, batch: Batch) -> None:
        """Count what was judged, when it is written down. From any thread."""
        with self._lock:
            for use in batch.uses:
                self._calls[use.operation or "", ALLOWED, ""] += use.calls
            for entry in batch.entries:
                if entry.code is not None:
                    verdict = REFUSED if entry.kind == DENIED else OBSERVED
                    self._calls[entry.operation or "", verdict, entry.code] += entry.times

    def delivered(self, outcome: str) -> None:
        """Count one try to deliver an event. From any thread."""
        with self._lock:
            self._deliveries[outcome] += 1

    def counts(self) -> Counts:
        """What was counted until now. From any thread."""
        with self._lock:
            calls, deliveries = sorted(self._calls.items()), sorted(self._deliveries.items())
            judging = {gate: times.sorted() for gate, times in self._judging.items()}
            return Counts(calls, deliveries, judging, self.upstream.sorted(), self.revoking.sorted())


def added(all_counts: Iterable[Counts]) -> Counts:
    """The counts of several processes as one."""
    meter = Meter()
    for counts in all_counts:
        meter._calls.update(dict(counts.calls))
        meter._deliveries.update(dict(counts.deliveries))
        for gate, times in counts.judging.items():
            _add(meter.judging(gate).sorted(), times)
        _add(meter.upstream.sorted(), counts.upstream)
        _add(meter.revoking.sorted(), counts.revoking)
    return meter.counts()


def _add(to: Timing, more: Timing) -> None:
    to.steps = [a + b for a, b in zip(to.steps, more.steps, strict=True)]
    to.total_s += more.total_s
