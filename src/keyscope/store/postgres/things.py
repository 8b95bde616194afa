"""The ledger of own things in PostgreSQL, where all nodes write it and read it.

Whose own a thing is never changes, so what was found once is remembered. Everything else is asked for: that nobody has
made a thing may be wrong a moment later, at another node.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from threading import Lock

from keyscope.authority.things import Owners, Thing
from keyscope.store.postgres.address import Address
from keyscope.store.postgres.connect import Link
from keyscope.store.postgres.pool import Pool
from keyscope.store.postgres.trouble import closing_the_gate
from keyscope.store.things import holders

MOST_KEPT = 1 << 16
"""Things whose owners a process remembers: some 20 MB."""

_FIND = """
SELECT asked.resource, asked.id, found.makers
FROM unnest(CAST(%s AS TEXT[]), CAST(%s AS TEXT[])) AS asked (resource, id)
CROSS JOIN LATERAL (
    SELECT makers FROM things
    WHERE account_id = %s AND things.resource = asked.resource AND things.id = asked.id LIMIT 1
) AS found
"""
"""One look at the index for each, whatever the planner believes of the table."""
_ADD = """
INSERT INTO things SELECT %s, resource, id, %s, %s
FROM (SELECT * FROM unnest(CAST(%s AS TEXT[]), CAST(%s AS TEXT[])) AS given (resource, id) ORDER BY 1, 2) AS sorted
ON CONFLICT DO NOTHING
"""
"""In one order, so that two who add the same things never wait for each other."""


class PostgresThings:
    """Use ``PostgresStore.open_things``."""

    def __init__(self, address: Address, readers: Pool, writers: Pool) -> None:
        self._address = address
        self._readers = readers
        self._writers = writers
        self._kept: dict[tuple[str, str, str], frozenset[str]] = {}
        self._lock = Lock()

    def known(self, account_id: str, things: Sequence[Thing]) -> Owners | None:
        """What was found before; None if that is not all."""
        found = self._remembered(account_id, things)
        return found if len(found) == len(set(things)) else None

    def owners(self, account_id: str, things: Sequence[Thing]) -> Owners:
        """One question, for those that are not remembered."""
        found = self._remembered(account_id, things)
        asked = [thing for thing in things if thing not in found and _can_be_there(thing)]
        if asked:
            with closing_the_gate(self._address), self._readers.link() as link:
                found |= self._find(link, account_id, asked)
        return found

    def add(self, account_id: str, things: Sequence[Thing], makers: Sequence[str], at_ms: int) -> Owners:
        """One statement for all, which is committed when this returns: all of them are recorded, or none."""
        with closing_the_gate(self._address), self._writers.link() as link:
            with link.lasting():
                link.execute(_ADD, (account_id, " ".join(makers), at_ms, *_columns(things)))
            return self._find(link, account_id, things)

    def close(self) -> None:
        """The connections are the store's."""

    def _remembered(self, account_id: str, things: Iterable[Thing]) -> dict[Thing, frozenset[str]]:
        kept = self._kept
        return {thing: owners for thing in things if (owners := kept.get((account_id, *thing))) is not None}

    def _find(self, link: Link, account_id: str, things: Sequence[Thing]) -> dict[Thing, frozenset[str]]:
        rows = link.execute(_FIND, (*_columns(things), account_id))
        found = {(resource, thing): holders(makers) for resource, thing, makers in rows}
        with self._lock:
            for (resource, thing), owners in found.items():
                if len(self._kept) >= MOST_KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[account_id, resource, thing] = owners
        return found


def _columns(things: Sequence[Thing]) -> tuple[list[str], list[str]]:
    return [resource for resource, _ in things], [thing for _, thing in things]


def _can_be_there(thing: Thing) -> bool:
    """PostgreSQL has no text with a NUL."""
    return "\0" not in thing[1]
