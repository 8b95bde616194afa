"""Put together what counts: the counters that belong to a database on this host, or those that several nodes share."""

from __future__ import annotations

from keyscope.authority.counters import Counters
from keyscope.model.secret import Secret
from keyscope.store.counters_open import counters_beside, open_counters
from keyscope.store.open import MEMORY, SQLITE, sqlite_path


def counters_of(database: str, url: str | None = None, password: Secret | None = None) -> Counters | None:
    """The counters at a URL; else the file beside the database. Raises ConfigurationError.

    None for a database that several nodes share, without a URL: then nothing is counted, and every key whose use is
    limited is refused.
    """
    beside = counters_beside(sqlite_path(database)) if database.startswith(SQLITE) else None
    if url is not None:
        from keyscope.store.valkey_open import (
            open_valkey,  # its client takes a while to load: only where it is asked for
        )

        return open_valkey(url, password, beside)
    return open_counters(beside) if beside is not None or database == MEMORY else None
