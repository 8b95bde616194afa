"""From the ledger to the trail: what was collected is written down, and the changes of the database are copied.

``take`` belongs to the thread that judges, ``write`` and ``copy`` to others. What could not be written is kept and
written later; when that takes too long the gate is to close (law 7), since nobody would know what it let through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Lock

from keyscope.authority.checkpoint import Checkpoint, Signer
from keyscope.authority.ledger import Ledger, Taken
from keyscope.authority.meter import Meter
from keyscope.authority.ports import Clock, Store, StoredEvent
from keyscope.authority.trail import Batch, Entry, Trail
from keyscope.errors import AuditUnavailable

CLOSE_AFTER_MS = 5_000
"""How long the trail may be out of use before the gate closes."""
CHECKPOINT_EVERY_MS = 3_600_000
DAY_MS = 24 * 3_600_000
_PAGE = 1_000
_PAGES = 10
_UPKEEP_EVERY_MS = 60_000


class Recording:
    """One process's. ``store`` is the database whose changes are copied; None for a process that only judges.

    ``signer`` signs checkpoints, each of which goes to ``keep`` too. What is older than ``days`` is dropped; 0 keeps
    everything.
    """

    def __init__(
        self,
        trail: Trail,
        ledger: Ledger,
        clock: Clock,
        store: Store | None = None,
        *,
        signer: Signer | None = None,
        keep: Callable[[Checkpoint], None] = lambda _: None,
        days: int = 0,
    ) -> None:
        self.trail = trail
        self._signer = signer
        self._keep = keep
        self._days = days
        self._upkeep_at_ms = 0
        self.ledger = ledger
        self._clock = clock
        self._store = store
        self._kept: list[Batch] = []
        self._used_at_ms: dict[str, int] = {}
        self._waiting_since_ms: int | None = None
        self._lock = Lock()
        self._copying = Lock()
        self.meter: Meter | None = None
        """Told of what was judged, if there is one."""

    def take(self) -> Taken | None:
        """What was collected; None while earlier things are still to be written. In the thread that judges."""
        if self._waiting_since_ms is None:
            self._waiting_since_ms = self._clock.now_ms()
        return None if self._kept else self.ledger.take()

    def write(self, taken: Taken | None) -> dict[str, int]:
        """Write down what was taken, or is still kept, in another thread.

        Returns when each key in it was last used, in Unix milliseconds. Raises StoreUnavailable; then it is kept.
        """
        with self._lock:
            if taken is not None:
                batch = taken.batch()
                self._kept.append(batch)
                if self.meter is not None:
                    self.meter.add(batch)
                self._used_at_ms |= taken.used_at_ms()
            self.trail.append(_joined(self._kept), self._clock.now_ms())
            used, self._used_at_ms = self._used_at_ms, {}
            self._kept.clear()
            self._waiting_since_ms = None
            self._look_after()
            return used

    @property
    def copies(self) -> bool:
        """Whether there are changes to copy."""
        return self._store is not None

    def copy(self) -> None:
        """Copy what was changed since the last time, in another thread; a long past in several calls.

        It is apart from ``write``: a database that does not answer keeps nobody from writing down what was judged.
        Raises StoreUnavailable.
        """
        with self._copying:
            for _ in range(_PAGES if self.copies else 0):
                if self._copy_page() < _PAGE:
                    return

    def finish(self) -> None:
        """Copy the last changes, and sign what is there, at the end, in whatever thread. Raises StoreUnavailable."""
        self.copy()
        with self._lock:
            self._sign(0)

    @property
    def waiting_ms(self) -> int:
        """For how long something has waited to be written, in milliseconds."""
        since_ms = self._waiting_since_ms
        return 0 if since_ms is None else self._clock.now_ms() - since_ms

    def check(self) -> None:
        """Raise AuditUnavailable if nothing could be written for too long."""
        if self.waiting_ms > CLOSE_AFTER_MS:
            raise AuditUnavailable("the audit trail could not be written for some seconds")

    def _copy_page(self) -> int:
        store, last = self._store, self.trail.last_event()
        changes = store.read(lambda reader: reader.changes(after=last, limit=_PAGE)) if store is not None else []
        if changes:
            self.trail.append(Batch([*copies(changes)]), self._clock.now_ms())
        return len(changes)

    def _look_after(self) -> None:
        """A checkpoint each hour; then drop what is too old, a part at each call."""
        now_ms = self._clock.now_ms()
        if now_ms < self._upkeep_at_ms:
            return
        self._sign(CHECKPOINT_EVERY_MS)
        more = self._days > 0 and self.trail.prune(now_ms - self._days * DAY_MS, now_ms)
        self._upkeep_at_ms = now_ms if more else now_ms + _UPKEEP_EVERY_MS

    def _sign(self, after_ms: int) -> None:
        if self._signer is None:
            return
        checkpoint = self.trail.checkpoint(self._signer, self._clock.now_ms(), after_ms)
        if checkpoint is not None:
            self._keep(checkpoint)


def _joined(batches: list[Batch]) -> Batch:
    return Batch([e for batch in batches for e in batch.entries], [u for batch in batches for u in batch.uses])


def copies(changes: Iterable[StoredEvent]) -> Iterable[Entry]:
    """Changes as entries."""
    for stored in changes:
        event = stored.event
        yield Entry(
            at_ms=event.at_ms,
            kind=event.kind.value,
            account_id=event.account_id,
            key_id=event.key_id,
            chain=event.origin.chain,
            peer=event.origin.peer,
            request_id=event.origin.request_id,
            event=stored.number,
            changes=event.changes,
        )
