"""A clock and an entropy that a test holds in its hand."""

from __future__ import annotations

import random


class HandClock:
    """Time that passes when told to. Unix milliseconds."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.at_ms = now_ms

    def now_ms(self) -> int:
        return self.at_ms


class SeededEntropy:
    """Random bytes that are the same in every run."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311  (a test wants the same bytes again)

    def random_bytes(self, count: int) -> bytes:
        return self._random.randbytes(count)
