"""What a use case may do inside one transaction, where PostgreSQL does it otherwise than SQLite (store/session.py).

All statements of a transaction go through one pipeline: what asks nothing is sent and not waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from keyscope.authority.ports import Former
from keyscope.errors import StoreUnavailable
from keyscope.model.event import Event
from keyscope.model.key import Key, Lineage
from keyscope.store import query as sql
from keyscope.store import rows
from keyscope.store.line import check_parent, lineage
from keyscope.store.postgres import query as pg
from keyscope.store.postgres.connect import Link
from keyscope.store.postgres.query import in_postgres
from keyscope.store.session import Answer, SqlReader, SqlWriter

_AT_ONCE = 5000
"""Rows of a long answer that are fetched together."""


class Numbers(NamedTuple):
    """The last ones given."""

    change: int
    event: int


class Spoken:
    """A connection that takes statements as SQLite has them. ``wrote`` tells whether any of them was a change."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self.wrote = False
        self._walks = 0

    def execute(self, statement: str, parameters: Any = (), /) -> Answer:
        self.wrote = self.wrote or statement.startswith(("INSERT", "UPDATE", "DELETE"))
        answer: Any = self._link.execute(in_postgres(statement), parameters)
        return answer  # type: ignore[no-any-return]

    def executemany(self, statement: str, rows: Iterable[Any], /) -> None:
        self.wrote = True
        with self._link.cursor() as cursor:
            cursor.executemany(in_postgres(statement), list(rows))

    def walk(self, statement: str) -> Iterator[Any]:
        """The rows of a long answer, some at a time."""
        self._walks += 1
        name = f"walk_{self._walks}"
        self._link.execute(f"DECLARE {name} NO SCROLL CURSOR FOR {statement}", prepare=False)
        while found := self._link.execute(f"FETCH {_AT_ONCE} FROM {name}", prepare=False).fetchall():
            yield from found
        self._link.execute(f"CLOSE {name}", prepare=False)


class PostgresReader(SqlReader):
    """A consistent view: everything is read in one transaction."""

    _connection: Spoken

    def __init__(self, link: Link) -> None:
        super().__init__(Spoken(link))

    def lineage(self, key_id: str) -> Lineage | None:
        return line_of(self._connection.execute(pg.LINE, (key_id,)))

    def found_by(self, digest: bytes) -> Lineage | None:
        """The key with this digest as its present or an earlier secret, with its ancestors."""
        row = self._one(sql.KEY_BY_DIGEST, digest)
        if row is not None:
            return self.lineage(rows.key_of(row[0]).id)
        row = self._one(sql.FORMER_BY_DIGEST, digest)
        if row is None:
            return None
        former = rows.former_of(row[0])
        line = self.lineage(former.key_id)
        if line is None:
            raise StoreUnavailable("the record of an earlier secret is damaged: it leads to no key")
        return Lineage(rows.as_found_by(former, line.key), line.parent)

    def stamp(self) -> object:
        """Something that differs after every commit."""
        return self._one(pg.STAMP)

    def walk(self, statement: str) -> Iterator[rows.Row]:
        return self._connection.walk(statement)


def line_of(records: Iterable[Any]) -> Lineage | None:
    """From the rows of LINE. Raises StoreUnavailable for a line that is broken or has no end."""
    keys = [rows.key_of(record) for (record,) in records]
    return lineage(keys[0], {key.id: key for key in keys}.get) if keys else None


class PostgresWriter(PostgresReader, SqlWriter):
    """A write transaction, for several pieces of work one after the other.

    ``change`` is the number of the last change: of the present piece of work, if it has touched keys.
    """

    def __init__(self, link: Link, last: Numbers) -> None:
        super().__init__(link)
        self.last_event = last.event
        self._last_change = last.change
        self._touched: dict[str, None] = {}
        self._made: list[tuple[int, str]] = []
        self._keys: dict[str, Key] = {}

    @property
    def change(self) -> int:
        return self._last_change + bool(self._touched)

    def epoch(self) -> str:
        """Which life of which database this is."""
        row = self._one(pg.PLACE)
        return str(row[0]) if row is not None else ""

    def key(self, key_id: str) -> Key | None:
        # Nobody else writes now, so what was read once in this transaction stays true.
        if key_id not in self._keys:
            key = super().key(key_id)
            if key is None:
                return None
            self._keys[key_id] = key
        return self._keys[key_id]

    def lineage(self, key_id: str) -> Lineage | None:
        if key_id not in self._keys:
            found = super().lineage(key_id)
            if found is not None:
                self._keys |= {key.id: key for key in found.line}
            return found
        return lineage(self._keys[key_id], self.key)

    def last_number(self) -> int:
        return self.last_event

    def add_key(self, key: Key) -> None:
        check_parent(key, self.key)
        row = self._one(pg.ADDABLE, key.id, key.digest, key.digest, key.account_id)
        *taken, has_account = row or (True, True)
        if any(taken):
            raise ValueError(f"the id or digest of key {key.id} is there already")
        if not has_account:
            raise ValueError(f"the account of key {key.id} is not in the store")
        self._connection.execute(pg.ADD_RECORD, (key.digest, rows.record_of(key)))
        self._connection.execute(sql.ADD_KEY, rows.key_row(key))
        self._connection.execute(pg.COUNT_KEY, (key.account_id, key.kind.value))
        self._put_run(key)
        self._keep(key)

    def replace_key(self, key: Key) -> None:
        super().replace_key(key)
        self._keep(key)

    def put_former(self, former: Former) -> None:
        super().put_former(former)
        self._touched[former.key_id] = None

    def revoke_derived(self, key_id: str, link_id: str, at_ms: int) -> None:
        super().revoke_derived(key_id, link_id, at_ms)
        self._touched[key_id] = None

    def add_event(self, event: Event) -> None:
        self.last_event += 1
        self._connection.execute(pg.ADD_EVENT, (self.last_event, *rows.event_row(event)))

    def settle(self) -> None:
        """A piece of work is done: what it touched becomes one change."""
        if self._touched:
            self._made.append((self.change, " ".join(self._touched)))
            self._last_change = self.change
            self._touched = {}

    def undo(self, last_event: int) -> None:
        """A piece of work is undone: forget what it touched and what was read of it."""
        self.last_event = last_event
        self._touched = {}
        self._keys = {}

    def finish(self) -> Numbers:
        """Write down the numbers that were given, and wake who follows."""
        last = Numbers(self._last_change, self.last_event)
        if self._made:
            numbers, ids = zip(*self._made, strict=True)
            self._connection.execute(pg.ADD_CHANGES, (list(numbers), list(ids)))
            self._connection.execute(pg.NOTIFY, (str(last.change),))
        if self._connection.wrote:
            self._connection.execute(pg.KEEP_NUMBERS, last)
        return last

    def _keep(self, key: Key) -> None:
        self._keys[key.id] = key
        self._touched[key.id] = None
