"""New rows that are put into the database together, for all pieces of work of one transaction.

One statement takes the rows of many mints. Until then they wait here, in the order in which they were made, and what is
undone is cut off at the end.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from keyscope.authority.ports import StoredReply
from keyscope.model.event import Event
from keyscope.model.key import Key
from keyscope.store import query as sql
from keyscope.store import rows


class Insert(NamedTuple):
    """A statement with as many arrays as its table has columns."""

    table: str
    types: tuple[str, ...]

    @property
    def statement(self) -> str:
        arrays = ", ".join(f"CAST(?b AS {kind}[])" for kind in self.types)
        return f"INSERT INTO {self.table} SELECT * FROM unnest({arrays})"  # noqa: S608  (names of ours)


_TEXT, _BIGINT, _BYTEA = "TEXT", "BIGINT", "BYTEA"
RECORDS = Insert("records", (_BYTEA, _BYTEA))
KEYS = Insert("keys", (_TEXT, _BYTEA, *(_TEXT,) * 5, *(_BIGINT,) * 5))
EVENTS = Insert("events", (_BIGINT, _TEXT, _BIGINT, *(_TEXT,) * 5, _BYTEA))
REPLIES = Insert("replies", (_TEXT, _TEXT, _BYTEA, _BYTEA, _BIGINT))
TOTALS = Insert("key_totals", (_TEXT, _TEXT, "INTEGER"))
_ADDED = " ON CONFLICT (account_id, kind) DO UPDATE SET total = key_totals.total + excluded.total"

DROPPED = Insert("", (_BIGINT,))
"""Not an insertion: replies from before this time are to be gone before new ones come."""

Statement = tuple[str, tuple[Any, ...]]


class Pending:
    """Rows that are not in the database yet."""

    def __init__(self) -> None:
        self._made: list[tuple[Insert, rows.Row]] = []

    def __len__(self) -> int:
        return len(self._made)

    def add_key(self, key: Key) -> None:
        self._made.append((RECORDS, (key.digest, rows.record_of(key))))
        self._made.append((KEYS, rows.key_row(key)))

    def add_event(self, number: int, event: Event) -> None:
        self._made.append((EVENTS, (number, *rows.event_row(event))))

    def add_reply(self, reply: StoredReply) -> None:
        self._made.append((REPLIES, rows.reply_row(reply)))

    def drop_replies(self, before_ms: int) -> None:
        self._made.append((DROPPED, (before_ms,)))

    def cut(self, length: int) -> None:
        """Forget what came after the first ones."""
        del self._made[length:]

    def take(self, length: int) -> list[Statement]:
        """The statements for the first ones, which are forgotten."""
        taken, self._made = self._made[:length], self._made[length:]
        by_table: dict[Insert, list[rows.Row]] = {}
        for insert, row in taken:
            by_table.setdefault(insert, []).append(row)
        made: list[Statement] = []
        if dropped := by_table.pop(DROPPED, None):
            made.append((sql.DROP_REPLIES, max(dropped)))
        made += [(insert.statement, _columns(found)) for insert, found in by_table.items()]
        if KEYS in by_table:
            made.append(_totals(by_table[KEYS]))
        return made


def _totals(keys: list[rows.Row]) -> Statement:
    counted = Counter((account_id, kind) for _, _, account_id, kind, *_ in keys)
    return TOTALS.statement + _ADDED, _columns([(*of, total) for of, total in sorted(counted.items())])


def _columns(found: list[rows.Row]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*found, strict=True)))
