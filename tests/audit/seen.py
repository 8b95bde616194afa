"""The trail of a server, read from its file."""

from __future__ import annotations

from keyscope.authority.trail import Entry, EntryQuery, UseCount, UseQuery
from keyscope.store.trail_open import open_trail, trail_beside
from tests.live import Live


class Seen:
    """What is in it now."""

    def __init__(self, live: Live) -> None:
        self._path = trail_beside(live.database)
        self.account = next(entry.account_id for entry in self.entries() if entry.kind == "account.created")

    def entries(self, **conditions: object) -> list[Entry]:
        query = EntryQuery(account_id=None, limit=100_000, after=0, **conditions)  # type: ignore[arg-type]
        trail = open_trail(self._path)
        try:
            return list(trail.entries(query).items)
        finally:
            trail.close()

    def uses(self) -> list[UseCount]:
        assert self.account is not None
        trail = open_trail(self._path)
        try:
            return trail.uses(UseQuery(account_id=self.account, step_ms=None))
        finally:
            trail.close()

    def calls(self, key_id: str) -> int:
        """How many calls of this key were counted."""
        return sum(count.calls for count in self.uses() if count.key_id == key_id)

    def denials(self, **conditions: object) -> int:
        """How many calls were refused."""
        return sum(entry.times for entry in self.entries(kind="call.denied", **conditions))
