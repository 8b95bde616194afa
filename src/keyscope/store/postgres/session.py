"""What a use case may read inside one transaction, where PostgreSQL does it otherwise than SQLite (store/session.py).

All statements of a transaction go through one pipeline: what asks nothing is sent and not waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from keyscope.errors import StoreUnavailable
from keyscope.model.key import Lineage
from keyscope.store import query as sql
from keyscope.store import rows
from keyscope.store.line import lineage
from keyscope.store.postgres import query as pg
from keyscope.store.postgres.connect import Link
from keyscope.store.postgres.query import in_postgres
from keyscope.store.session import Answer, SqlReader

_AT_ONCE = 5000
"""Rows of a long answer that are fetched together."""


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

    def __init__(self, connection: Spoken) -> None:
        super().__init__(connection)

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

    def place(self) -> tuple[str, int]:
        """Which life of which database this is, and the number of its newest change."""
        row = self._one(pg.PLACE)
        return (str(row[0]), int(row[1])) if row is not None else ("", 0)

    def stamp(self) -> object:
        """Something that differs after every commit."""
        return self._one(pg.STAMP)

    def walk(self, statement: str) -> Iterator[rows.Row]:
        return self._connection.walk(statement)


def line_of(records: Iterable[Any]) -> Lineage | None:
    """From the rows of LINE. Raises StoreUnavailable for a line that is broken or has no end."""
    keys = [rows.key_of(record) for (record,) in records]
    return lineage(keys[0], {key.id: key for key in keys}.get) if keys else None
