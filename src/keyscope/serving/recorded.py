"""Put together what records: the audit trail that belongs to a database, and what is collected for it."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from keyscope.authority.checkpoint import Signer, seed_of
from keyscope.authority.ledger import Ledger
from keyscope.authority.ports import Clock, Store
from keyscope.authority.recording import Recording
from keyscope.model.secret import Secret
from keyscope.store.trail import SqliteTrail
from keyscope.store.trail_open import memory_trail, open_trail, trail_beside
from keyscope.store.trail_signing import had_trail, keep, signer_beside

log = logging.getLogger(__name__)


def recording_of(
    beside: Path | None, store: Store, clock: Clock, *, is_server: bool, key: Secret | None = None, days: int = 0
) -> Recording:
    """One process's recording, beside a file; None: in memory. Raises ConfigurationError and StoreUnavailable.

    A server also copies the changes, signs checkpoints (with the key beside the trail, if none is given) and drops what
    is older than so many days.
    """
    if beside is None:
        return Recording(_begun(memory_trail(), store, clock), Ledger(), clock, store)
    path = trail_beside(beside)
    trail = _begun(open_trail(path), store, clock, had_trail=had_trail(path))
    if not is_server:
        return Recording(trail, Ledger(), clock)
    signer = Signer(seed_of(key.reveal())) if key is not None else signer_beside(path)
    return Recording(trail, Ledger(), clock, store, signer=signer, keep=partial(keep, path), days=days)


def _begun(trail: SqliteTrail, store: Store, clock: Clock, *, had_trail: bool = False) -> SqliteTrail:
    events = store.read(lambda reader: reader.last_number())
    if trail.begin(events, clock.now_ms(), had_trail=had_trail) and had_trail:
        log.error("the audit trail that was here is gone; a new one begins, and its first entry says so")
    return trail


@contextlib.contextmanager
def recorded(beside: Path | None, store: Store, clock: Clock, *, is_wanted: bool) -> Iterator[Recording | None]:
    """What a process that is no server records, if it is to. Raises as ``recording_of`` does."""
    if not is_wanted:
        yield None
        return
    recording = recording_of(beside, store, clock, is_server=False)
    with contextlib.closing(recording.trail):
        yield recording
