"""A lease on judging: until when this node may judge by its replica, in memory that all its processes share.

It is measured on ``CLOCK_BOOTTIME``, in nanoseconds: the wall clock can be set, and ``CLOCK_MONOTONIC`` stands while
the machine sleeps. Whoever judges compares the time itself, so nothing has to wake up in time to close a node (decision
20).

The memory is a small file beside the replica, named for this boot of the machine: an end of the boot before would mean
nothing on a clock that began anew.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable
from mmap import MAP_SHARED, mmap
from pathlib import Path

from keyscope.errors import ConfigurationError, Fault, NotHeard

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_ENDS, _ASKED, _NUMBER = range(3)
_SIZE = 24


def now_ns() -> int:
    """Nanoseconds since this machine started, those included in which it slept."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Lease:
    """``open`` it in every process of a node. One of them, the follower, holds and grants it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.ftruncate(self._file, _SIZE)
        self._map = mmap(self._file, _SIZE, MAP_SHARED)
        self._words = memoryview(self._map).cast("q")

    @classmethod
    def open(cls, replica: Path) -> Lease:
        """The lease on a replica. Raises ConfigurationError where there is no such clock."""
        if not hasattr(time, "CLOCK_BOOTTIME") or not _BOOT_ID.exists():
            fault = Fault("--database", "several nodes need Linux and its CLOCK_BOOTTIME; use sqlite:///FILE")
            raise ConfigurationError("no CLOCK_BOOTTIME", [fault])
        boot = _BOOT_ID.read_text(encoding="ascii").strip()
        return cls(replica.with_name(f"{replica.name}.lease.{boot}"))

    def hold(self) -> None:
        """Be the one who grants it; it is over until then. Raises ConfigurationError if another process is."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fault = Fault("--replica", "another server follows into this file; name another one, or end that server")
            raise ConfigurationError("the replica is in use", [fault]) from None
        self.end()

    def grant(self, asked_ns: int, length_ns: int, number: int) -> None:
        """From now on everything is applied that the record had at ``asked_ns``, up to ``number`` at least."""
        self._words[_NUMBER] = number
        if asked_ns > self._words[_ASKED]:
            self._words[_ASKED] = asked_ns
            self._words[_ENDS] = asked_ns + length_ns

    def apply(self, number: int) -> None:
        """Everything up to this number is applied."""
        self._words[_NUMBER] = number

    def end(self) -> None:
        """It is over, at once."""
        self._words[_ENDS] = self._words[_ASKED] = self._words[_NUMBER] = 0

    @property
    def number(self) -> int:
        """The last change that is applied; 0 while nothing is."""
        return self._words[_NUMBER]

    @property
    def stale_ns(self) -> int | None:
        """How old the newest word from the record is; None if there was none since the follower started."""
        asked = self._words[_ASKED]
        return now_ns() - asked if asked else None

    @property
    def stale_ms(self) -> int | None:
        """The same in milliseconds."""
        stale_ns = self.stale_ns
        return stale_ns // 1_000_000 if stale_ns is not None else None

    @property
    def left_ns(self) -> int:
        """For how long it lasts yet; not above 0 once it is over."""
        return self._words[_ENDS] - now_ns()

    def check(self) -> None:
        """Raises NotHeard if it is over."""
        if self.left_ns <= 0:
            raise self._over()

    def guarded(self, stamp: Callable[[], object]) -> Callable[[], object]:
        """The stamp of an index that answers only while the lease lasts."""
        words, clock, boottime = self._words, time.clock_gettime_ns, time.CLOCK_BOOTTIME

        def guarded() -> object:
            if clock(boottime) >= words[_ENDS]:
                raise self._over()
            return stamp()

        return guarded

    def close(self) -> None:
        """Let go. A lease that is held is over then."""
        os.close(self._file)

    def _over(self) -> NotHeard:
        stale_ns = self.stale_ns
        heard = "nothing since the start" if stale_ns is None else f"nothing for {stale_ns / 1e9:.3f} s"
        return NotHeard(heard, [Fault("database", f"{heard} was heard from it")])
