"""The real clock and the real entropy."""

from __future__ import annotations

import secrets
import time


class SystemClock:
    """Wall-clock time in Unix milliseconds that never goes backwards within the process.

    Without this, an operator or NTP stepping the clock back would bring expired keys to life again.
    """

    def __init__(self) -> None:
        self._latest = 0

    def now_ms(self) -> int:
        now = time.time_ns() // 1_000_000
        if now > self._latest:
            self._latest = now
        return self._latest


class SystemEntropy:
    """The operating system's cryptographic generator."""

    def random_bytes(self, count: int) -> bytes:
        return secrets.token_bytes(count)
