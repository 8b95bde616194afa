"""A SQLite authority, to be copied from or to (store/moving.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import Any

from keyscope.store.connect import writing
from keyscope.store.moving import OWN, Shape
from keyscope.store.session import SqlReader
from keyscope.store.sqlite import BUSY_TIMEOUT_S, SqliteStore
from keyscope.store.transaction import transaction
from keyscope.store.trouble import closing_the_gate
from keyscope.store.whole import Fault

_SHAPE = """
SELECT tables.name, columns.name FROM sqlite_schema AS tables JOIN pragma_table_info(tables.name) AS columns
WHERE tables.type = 'table' AND tables.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY tables.name, columns.name
"""


class SqliteMoving:
    """Use it while no server runs on the database."""

    def __init__(self, store: SqliteStore) -> None:
        self._store = store
        self.name = str(store.path)

    def read(self, work: Callable[[SqlReader], Any]) -> Any:
        return self._store.read(work)  # type: ignore[arg-type]  # its readers are of this kind

    def shape(self) -> Shape:
        found: dict[str, list[str]] = {}
        for table, column in self.read(lambda reader: list(reader.walk(_SHAPE))):
            found.setdefault(table, []).append(column)
        return {table: tuple(columns) for table, columns in found.items() if table not in OWN}

    def own_faults(self, reader: SqlReader) -> Iterable[Fault]:
        """The file itself, page by page."""
        found = reader.walk("PRAGMA integrity_check(10)")
        return [Fault("file", text) for (text,) in found if text != "ok"]

    def fill(self, tables: Iterable[tuple[str, tuple[str, ...], Iterator[Any]]]) -> None:
        """Key totals come from the trigger on keys."""
        with (
            closing_the_gate(),
            closing(writing(self._store.path, BUSY_TIMEOUT_S)) as link,
            transaction(link.connection),
        ):
            # Children may come before their parents, and keys before their accounts.
            link.connection.execute("PRAGMA defer_foreign_keys = ON")
            for table, columns, rows in tables:
                marks = ", ".join("?" * len(columns))
                statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608  (names)
                link.connection.executemany(statement, rows)
