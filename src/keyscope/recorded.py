"""Put together what records: the audit trail that belongs to a database, and what is collected for it."""

from __future__ import annotations

from keyscope.authority.ledger import Ledger
from keyscope.authority.ports import Clock, Store
from keyscope.authority.recording import Recording
from keyscope.store.open import SQLITE, sqlite_path
from keyscope.store.trail import SqliteTrail
from keyscope.store.trail_open import memory_trail, open_trail, trail_beside


def trail_of(database: str) -> SqliteTrail:
    """The trail of the database at this URL. Raises ConfigurationError."""
    return open_trail(trail_beside(sqlite_path(database))) if database.startswith(SQLITE) else memory_trail()


def recording_of(database: str, store: Store, clock: Clock, *, copies_changes: bool) -> Recording:
    """One process's recording. Raises ConfigurationError and StoreUnavailable."""
    trail = trail_of(database)
    trail.begin(store.read(lambda reader: reader.last_number()), clock.now_ms())
    return Recording(trail, Ledger(), clock, store if copies_changes else None)
