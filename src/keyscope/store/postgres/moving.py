"""A PostgreSQL authority, to be copied from or to (store/moving.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from psycopg import sql

from keyscope.store.moving import OWN, Shape
from keyscope.store.postgres.connect import SCHEMA, Link, connect
from keyscope.store.postgres.store import PostgresStore
from keyscope.store.postgres.trouble import closing_the_gate
from keyscope.store.postgres.whole import faults_of_postgres
from keyscope.store.session import SqlReader
from keyscope.store.whole import Fault

_SHAPE = """
SELECT table_name, column_name, data_type FROM information_schema.columns
WHERE table_schema = %s ORDER BY table_name COLLATE "C", column_name COLLATE "C"
"""
_COUNT_KEYS = "INSERT INTO key_totals SELECT account_id, kind, count(*) FROM keys GROUP BY account_id, kind"
_NUMBER = "UPDATE numbers SET change = change + 1, event = (SELECT coalesce(max(number), 0) FROM events)"
_CHANGE = "INSERT INTO changes SELECT change, '{}' FROM numbers"
_BOOLEAN = "boolean"
_PATIENCE_S = 900.0


class PostgresMoving:
    """Use it while no server runs on the database."""

    def __init__(self, store: PostgresStore) -> None:
        self._store = store
        self.name = store.address.shown
        with closing_the_gate(store.address), connect(store.address) as link:
            self._types = list(link.execute(_SHAPE, (SCHEMA,)))

    def read(self, work: Callable[[SqlReader], Any]) -> Any:
        return self._store.read(work)  # type: ignore[arg-type]  # its readers are of this kind

    def shape(self) -> Shape:
        found: dict[str, list[str]] = {}
        for table, column, _ in self._types:
            found.setdefault(table, []).append(column)
        return {table: tuple(columns) for table, columns in found.items() if table not in OWN}

    def own_faults(self, reader: SqlReader) -> Iterable[Fault]:
        return faults_of_postgres(reader)

    def fill(self, tables: Iterable[tuple[str, tuple[str, ...], Iterator[Any]]]) -> None:
        with closing_the_gate(self._store.address), connect(self._store.address) as link:
            link.patience_s = _PATIENCE_S
            link.execute(
                "SELECT set_config(name, '0', false) FROM unnest(ARRAY['statement_timeout', 'lock_timeout']) AS name"
            )
            with link.transaction():
                link.execute("LOCK TABLE numbers IN EXCLUSIVE MODE")
                for table, columns, rows in tables:
                    self._fill(link, table, columns, rows)
                for statement in (_COUNT_KEYS, _NUMBER, _CHANGE):
                    link.execute(statement)

    def _fill(self, link: Link, table: str, columns: tuple[str, ...], rows: Iterator[Any]) -> None:
        true_or_false = {name for of, name, kind in self._types if of == table and kind == _BOOLEAN}
        kinds = [bool if name in true_or_false else None for name in columns]
        into = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
        )
        with link.cursor() as cursor, cursor.copy(into) as copying:
            for row in rows:
                values = zip(row, kinds, strict=True)
                copying.write_row([kind(value) if kind is not None else value for value, kind in values])
