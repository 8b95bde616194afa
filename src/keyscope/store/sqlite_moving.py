"""A SQLite authority, to be copied from or to (store/moving.py): the database, and the ledger of own things beside it.

Elsewhere that ledger is a table of the database, so both are one here.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from keyscope.store.connect import writing
from keyscope.store.moving import OWN, Shape
from keyscope.store.session import SqlReader
from keyscope.store.sqlite import BUSY_TIMEOUT_S, SqliteStore
from keyscope.store.things import things_beside
from keyscope.store.transaction import one_view, transaction
from keyscope.store.trouble import closing_the_gate
from keyscope.store.whole import Fault

_SHAPE = """
SELECT tables.name, columns.name
FROM (SELECT * FROM main.sqlite_schema UNION ALL SELECT * FROM beside.sqlite_schema) AS tables
JOIN pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY tables.name, columns.name
"""


class SqliteMoving:
    """Use it while no server runs on the database."""

    def __init__(self, store: SqliteStore) -> None:
        self._path = store.path
        self.name = str(store.path)
        store.open_things().close()  # so that its file is there, and of this version

    def read(self, work: Callable[[SqlReader], Any]) -> Any:
        """Servers may run meanwhile."""
        with self._both() as connection, one_view(connection):
            return work(SqlReader(connection))

    def shape(self) -> Shape:
        found: dict[str, list[str]] = {}
        for table, column in self.read(lambda reader: list(reader.walk(_SHAPE))):
            found.setdefault(table, []).append(column)
        return {table: tuple(columns) for table, columns in found.items() if table not in OWN}

    def own_faults(self, reader: SqlReader) -> Iterable[Fault]:
        """The files themselves, page by page."""
        found = reader.walk("PRAGMA integrity_check(10)")
        return [Fault("file", text) for (text,) in found if text != "ok"]

    def fill(self, tables: Iterable[tuple[str, tuple[str, ...], Iterator[Any]]]) -> None:
        """Key totals come from the trigger on keys."""
        with self._both() as connection, transaction(connection):
            # Children may come before their parents, and keys before their accounts.
            connection.execute("PRAGMA defer_foreign_keys = ON")
            for table, columns, rows in tables:
                marks = ", ".join("?" * len(columns))
                statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  (names)
                connection.executemany(statement, rows)

    @contextmanager
    def _both(self) -> Iterator[sqlite3.Connection]:
        beside = f"{things_beside(self._path).as_uri()}?mode=rw"
        with closing_the_gate(), closing(writing(self._path, BUSY_TIMEOUT_S)) as link:
            link.connection.execute("ATTACH DATABASE ? AS beside", (beside,))
            yield link.connection
