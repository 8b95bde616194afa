"""What a key needed lately: read from the trail for the key and all below it, which live on what it has."""

from __future__ import annotations

from keyscope.authority.ports import Store
from keyscope.authority.trail import Trail, UseQuery
from keyscope.console.needed import Needed, needed
from keyscope.console.target import Target
from keyscope.console.words import DAY_MS

PERIOD_MS = 30 * DAY_MS
"""How far back it is looked."""


def needed_of(store: Store, trail: Trail, target: Target, now_ms: int) -> Needed | None:
    """None for a key that no scopes bind."""
    grant, key = target.lineage.grant, target.key
    if grant is None:
        return None
    below = store.read(lambda reader: reader.descendants(key.id))
    ids = (key.id, *(lower.id for lower in below))
    query = UseQuery(account_id=key.account_id, key_ids=ids, since_ms=now_ms - PERIOD_MS, step_ms=None)
    return needed(grant, trail.uses(query))
