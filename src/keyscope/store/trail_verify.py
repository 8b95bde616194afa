"""Whether a trail is whole: every entry in its place and as it was written, every count sealed, no end cut off.

Read in one transaction, an entry at a time. The first break of the chain is named and the walk ends there, because what
follows cannot be told apart from it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator

from msgspec import Struct, convert
from msgspec.structs import replace

from keyscope.authority.checkpoint import Checkpoint
from keyscope.authority.ports import StoredEvent
from keyscope.authority.recording import copies
from keyscope.authority.trail import BEGUN, CHECKPOINT, MINUTE_MS, SEALED, Entry
from keyscope.errors import StoreUnavailable
from keyscope.store import trail_query as sql
from keyscope.store.trail_chain import SEAL_AFTER_MS
from keyscope.store.trail_prune import pruned
from keyscope.store.trail_rows import GENESIS, chained, entry_of, sealed


class Finding(Struct, frozen=True):
    """One thing that is wrong. ``number`` is the entry where it shows; ``code`` is stable."""

    code: str
    message: str
    number: int | None = None


class Walk:
    """One pass over a trail. ``key`` is the public key that checkpoints must be signed with; None if not known."""

    def __init__(self, connection: sqlite3.Connection, key: str | None, events: Iterable[StoredEvent] | None) -> None:
        self._connection = connection
        self._key = key
        self._events = iter(events) if events is not None else None
        self._seals: dict[int, dict[str, object]] = {}
        self._through, self._uses_before_ms = pruned(connection)
        self._hashes: dict[int, bytes] = {}
        self._last_event: int | None = None
        self.last = 0
        """The number of the last entry that is good."""
        self.last_ms = 0
        self.checkpoints = 0

    def findings(self, kept: Iterable[Checkpoint]) -> Iterator[Finding]:
        """Everything that is wrong. ``kept`` are checkpoints from elsewhere."""
        kept = list(kept)
        broken = next(self._chain({checkpoint.number for checkpoint in kept}), None)
        if broken is not None:
            yield broken
            return
        yield from (finding for checkpoint in kept if (finding := self._kept(checkpoint)) is not None)
        yield from self._missing_events()
        yield from self._counts()
        yield from self._search()

    def _chain(self, wanted: set[int]) -> Iterator[Finding]:
        start = self._through + 1
        previous, expected = self._before(start), start
        rows = self._connection.execute(
            "SELECT number, record, hash FROM entries WHERE number >= ? ORDER BY 1", (start,)
        )
        for number, record, hash_ in rows:
            if number != expected:
                yield Finding("removed", f"entries {expected} to {number - 1} are missing", expected)
            yield from self._one(number, record, hash_, previous)
            if number in wanted:
                self._hashes[number] = hash_
            previous, expected, self.last = hash_, number + 1, number
        if self.last == 0:
            yield Finding("empty", "there is no entry, not even the first one", start)

    def _before(self, start: int) -> bytes:
        """The hash before the first entry: after a pruning the checkpoint there has it, signed."""
        if start == 1:
            return GENESIS
        row = self._connection.execute("SELECT record FROM entries WHERE number = ?", (start,)).fetchone()
        try:
            return bytes.fromhex(str(entry_of(row[0]).changes["hash"])) if row is not None else GENESIS
        except (StoreUnavailable, KeyError, ValueError):
            return GENESIS

    def _one(self, number: int, record: str, hash_: bytes, previous: bytes) -> Iterator[Finding]:
        try:
            entry = entry_of(record)
        except StoreUnavailable:
            yield Finding("changed", f"entry {number} was changed: it is no entry any more", number)
            return
        if entry.number != number:
            yield Finding("reordered", f"entry {entry.number} stands in the place of entry {number}", number)
        if chained(previous, record.encode()) != hash_:
            yield Finding("changed", f"entry {number} was changed: its hash does not fit", number)
        yield from self._meaning(entry, previous)
        self.last_ms = entry.at_ms

    def _meaning(self, entry: Entry, previous: bytes) -> Iterator[Finding]:
        if entry.number == 1:
            self._last_event = 0
            if entry.kind != BEGUN:
                yield Finding("rewritten", "the first entry is not the beginning of a trail", 1)
        if entry.kind == CHECKPOINT:
            yield from self._checkpoint(entry, previous)
        elif entry.kind == SEALED:
            self._seals[int(str(entry.changes["minute_ms"]))] = entry.changes
        if entry.event is not None and entry.kind != CHECKPOINT:
            yield from self._event(entry)

    def _checkpoint(self, entry: Entry, previous: bytes) -> Iterator[Finding]:
        self.checkpoints += 1
        if self._last_event is None:  # the first one after a pruning
            self._last_event = entry.event
        try:
            checkpoint = convert(entry.changes, Checkpoint)
        except ValueError:
            yield Finding("checkpoint", f"the checkpoint in entry {entry.number} cannot be read", entry.number)
            return
        if self._key is not None and not checkpoint.is_genuine(self._key):
            yield Finding(
                "signature", f"the checkpoint in entry {entry.number} is not signed by this key", entry.number
            )
        if checkpoint.hash != previous.hex():
            yield Finding("rewritten", f"what stood before entry {entry.number} was written anew", entry.number)

    def _event(self, entry: Entry) -> Iterator[Finding]:
        """A change that the trail tells must be the next one that the database has, word for word."""
        number = entry.event or 0
        if self._last_event is not None and number != self._last_event + 1:
            yield Finding("changes", f"entry {entry.number} tells change {number} out of order", entry.number)
        self._last_event = number
        if self._events is None:
            return
        stored = next(self._events, None)
        while stored is not None and stored.number < number:  # told before the pruning
            stored = next(self._events, None)
        if stored is None or stored.number != number:
            yield Finding("database", f"change {number} (entry {entry.number}) is gone from the database", entry.number)
        elif next(iter(copies([stored]))) != replace(entry, number=0):
            yield Finding("database", f"change {number} is not what entry {entry.number} says", entry.number)

    def _kept(self, checkpoint: Checkpoint) -> Finding | None:
        """A checkpoint from elsewhere must be signed, and the trail must hold what it speaks for."""
        number = checkpoint.number
        if self._key is not None and not checkpoint.is_genuine(self._key):
            return Finding("signature", f"the kept checkpoint of entry {number} is not signed by this key", number)
        if number > self.last:
            return Finding(
                "cut", f"the end is cut off: the trail ends at {self.last} and had entry {number}", self.last
            )
        if number > self._through and self._hashes[number].hex() != checkpoint.hash:
            return Finding("rewritten", f"entry {number} is not the one that the kept checkpoint speaks for", number)
        return None

    def _missing_events(self) -> Iterator[Finding]:
        """Changes of the database that are older than the trail's end and not in it."""
        for stored in self._events or ():
            if self._last_event is not None and stored.number <= self._last_event:
                continue
            if stored.event.at_ms + MINUTE_MS < self.last_ms:
                yield Finding("cut", f"change {stored.number} of the database is not in the trail", self.last)
            return

    def _counts(self) -> Iterator[Finding]:
        unsealed = {minute for (minute,) in self._connection.execute("SELECT minute_ms FROM unsealed")}
        minutes = {minute for (minute,) in self._connection.execute("SELECT DISTINCT minute_ms FROM uses")}
        horizon = self.last_ms - MINUTE_MS - SEAL_AFTER_MS
        for minute in sorted(minutes | set(self._seals)):
            if minute < self._uses_before_ms or (minute in unsealed and minute > horizon):
                continue
            found = sealed(self._connection.execute(sql.ROWS_OF_MINUTE, (minute,)))
            if {"minute_ms": minute, **found} != self._seals.get(minute):
                yield Finding("counts", f"the counts of the minute {minute} are not those that were sealed")

    def _search(self) -> Iterator[Finding]:
        """What is searched by must lead to every entry."""
        (whole,) = self._connection.execute("PRAGMA integrity_check(1)").fetchone()
        if whole != "ok" or self._connection.execute(sql.NOT_FOUND_BY_KEY).fetchone() is not None:
            yield Finding("search", "the indexes of the file do not lead to all entries")
