"""What the metrics are at a moment: the counts of all workers, and what has to be looked at."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence

from prometheus_client.metrics_core import Metric

from keyscope.api.families import Gauges, families
from keyscope.authority.ports import Clock, KeyCount, Store
from keyscope.authority.recording import Recording
from keyscope.authority.verify import Verifier
from keyscope.authority.webhooks import Outbox
from keyscope.errors import Unavailable
from keyscope.gate.shared import SharedCounts

KEPT_MS = 10_000
"""How old the numbers of keys may be: counting them reads every key that is stopped."""


class Meters:
    """Used from the thread that serves."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        counts: SharedCounts,
        recording: Recording | None,
        verifier: Verifier,
        outbox: Outbox,
    ) -> None:
        self._store = store
        self._now_ms = clock.now_ms
        self._counts = counts
        self._recording = recording
        self._verifier = verifier
        self._outbox = outbox
        self._keys: Sequence[KeyCount] = ()
        self._counted_at_ms = -KEPT_MS
        self.following: Callable[[], int] = lambda: 0
        """How many gates follow this database."""
        self.stale_ms: Callable[[], int | None] = lambda: None
        """How long ago this node asked what it judges by; None if it is alone."""

    async def families(self) -> Iterable[Metric]:
        """Raises Unavailable only if there is something that cannot be counted; a store that fails is a metric."""
        works = await self._look()
        counts = await asyncio.to_thread(self._counts.total)
        recording, stale_ms = self._recording, self.stale_ms()
        gauges = Gauges(
            store_works=works,
            audit_waiting_s=recording.waiting_ms / 1000 if recording is not None else None,
            gates=await asyncio.to_thread(self.following),
            keys=self._keys,
            stale_s=stale_ms / 1000 if stale_ms is not None else None,
            webhooks=await asyncio.to_thread(self._outbox.backlog),
        )
        return families(counts, gauges)

    async def _look(self) -> bool:
        """Count the keys anew, if it is time, and say whether the store works."""
        now_ms = self._now_ms()
        if now_ms - self._counted_at_ms >= KEPT_MS:
            try:
                self._keys = await asyncio.to_thread(self._store.read, lambda reader: reader.key_counts(now_ms))
            except Unavailable:
                return False
            self._counted_at_ms = now_ms
        return self._verifier.closed is None
