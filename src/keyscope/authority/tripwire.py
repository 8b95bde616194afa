"""The tripwire: the use of a secret that is good no longer is counted and recorded. It ends nothing by itself.

A secret that was rotated out, expired or revoked and is shown again is in a place where it should not be. Uses are
gathered beside the hot path and written now and then: every use is counted, and per key and word there is one event at
most each minute, so that a hammering client cannot fill the record.
"""

from __future__ import annotations

from msgspec import Struct

from keyscope.authority.lookup import key_event
from keyscope.authority.ports import DeadUses, Writer
from keyscope.model.event import EventKind, Origin
from keyscope.model.key import REVOKED_ALONE_MS, Key, Lineage, State

EVENT_EVERY_MS = 60_000
MOST_KEPT = 10_000
"""Keys gathered at once between two writings; uses of further ones are not recorded."""

ROTATED = "rotated"


class DeadUse(Struct):
    """Uses of one key's dead secrets, by what they died of."""

    key: Key
    word: str
    uses: int
    last_at_ms: int
    peer: str | None


class DeadKeyUses:
    """Gathers uses of dead keys in one thread; ``write`` is called with what was taken away."""

    def __init__(self) -> None:
        self._seen: dict[tuple[str, str], DeadUse] = {}
        self._told: dict[tuple[str, str], DeadUse] = {}

    def note(self, lineage: Lineage, now_ms: int, peer: str | None) -> None:
        """Remember a use, unless the key is merely suspended."""
        word = word_for(lineage, now_ms)
        if word is None:
            return
        place = (lineage.key.id, word)
        seen = self._seen.get(place)
        if seen is not None:
            seen.uses += 1
            seen.last_at_ms, seen.peer = now_ms, peer
        elif len(self._seen) < MOST_KEPT:
            self._seen[place] = DeadUse(lineage.key, word, 1, now_ms, peer)

    def take(self) -> list[DeadUse]:
        """What was gathered since the last time."""
        taken = list(self._seen.values())
        self._seen.clear()
        return taken

    def write(self, writer: Writer, taken: list[DeadUse]) -> None:
        """Count the uses, and record those that were not recorded in the last minute. May be called again with them."""
        counts: dict[str, DeadUses] = {}
        for seen in taken:
            before = counts.get(seen.key.id, DeadUses(0, 0))
            counts[seen.key.id] = DeadUses(before.uses + seen.uses, max(before.last_at_ms, seen.last_at_ms))
        writer.record_dead_uses(counts)
        for seen in taken:
            self._tell(writer, seen)

    def _tell(self, writer: Writer, seen: DeadUse) -> None:
        place = (seen.key.id, seen.word)
        told = self._told.get(place)
        if told is not None and told is not seen and seen.last_at_ms - told.last_at_ms < EVENT_EVERY_MS:
            return
        if len(self._told) >= MOST_KEPT:
            self._told.clear()
        self._told[place] = seen
        origin = Origin(peer=seen.peer)
        writer.add_event(
            key_event(EventKind.KEY_DEAD_USED, seen.key, origin, seen.last_at_ms, secret=seen.word, uses=seen.uses)
        )


def word_for(lineage: Lineage, now_ms: int) -> str | None:
    """``revoked``, ``rotated`` or ``expired``; None for a key that is not dead."""
    states = {key.state_at(now_ms) for key in lineage.line} | {lineage.state_at(now_ms)}
    superseded = lineage.key.superseded_at_ms
    if State.REVOKED in states or lineage.expires_at_ms == REVOKED_ALONE_MS:
        return State.REVOKED.value
    if superseded is not None and now_ms >= superseded:
        return ROTATED
    return State.EXPIRED.value if State.EXPIRED in states else None
