"""What a server has written down, read from the file of its audit trail."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from keyscope.authority.trail import Entry, EntryQuery
from keyscope.store.trail_open import open_trail, trail_beside
from tests.live import Live

T = TypeVar("T")


def entries(live: Live, key: dict[str, Any], kind: str) -> list[Entry]:
    trail = open_trail(trail_beside(live.database))
    try:
        found = trail.entries(EntryQuery(account_id=None, limit=1000, after=0, key_id=key["id"], kind=kind))
        return list(found.items)
    finally:
        trail.close()


def within(read: Callable[[], T], seconds: float = 10) -> T:
    """What ``read`` gives once that is something."""
    end = time.monotonic() + seconds
    while not (found := read()):
        assert time.monotonic() < end, "it was not written down in time"
        time.sleep(0.05)
    return found
