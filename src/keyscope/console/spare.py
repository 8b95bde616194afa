"""What a key needed lately, as far as the visitor may ask for it."""

from __future__ import annotations

from keyscope.authority.evidence import gather
from keyscope.authority.suggestion import suggest
from keyscope.console.needed import Needed, needed
from keyscope.console.target import Target
from keyscope.console.visitor import Visitor
from keyscope.console.words import DAY_MS

PERIOD_MS = 30 * DAY_MS
"""How far back it is looked."""


def needed_of(visitor: Visitor, target: Target) -> Needed | None:
    """None for a standard key, and for one that the visitor does not manage or may not ask about."""
    desk, trail = visitor.desk, visitor.desk.trail
    if target.key.is_standard or trail is None or not visitor.manages(target.lineage):
        return None
    if not visitor.may("GET", f"{target.call}/suggestion"):
        return None
    now_ms = desk.clock.now_ms()
    evidence = gather(desk.store, trail, visitor.lineage, target.key.id, now_ms - PERIOD_MS, now_ms)
    return needed(evidence, suggest(evidence, {row.id: row for row in desk.policy.operations}))
