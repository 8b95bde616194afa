"""Copy a whole authority from one database to another, and prove that it arrived.

What moves is every table but those of the engine itself: the target counts its keys anew, and has an id and change
numbers of its own. Both sides are read whole and compared, by the number of rows and a digest over all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from keyscope.store.session import SqlReader
from keyscope.store.trouble import unusable
from keyscope.store.whole import Fault

Shape = dict[str, tuple[str, ...]]
"""By table its columns, in a fixed order."""

OWN = frozenset({"meta", "key_totals", "numbers", "changes", "nodes"})
"""Tables that belong to one database, and are made anew in another."""

_pack = msgspec.msgpack.Encoder().encode
_WRAP = 1 << 256


class Movable(Protocol):
    """A database that an authority is copied from, or to."""

    @property
    def name(self) -> str:
        """For people."""

    def shape(self) -> Shape:
        """The tables that move."""

    def read(self, work: Callable[[SqlReader], Any]) -> Any:
        """In one view."""

    def own_faults(self, reader: SqlReader) -> Iterable[Fault]:
        """What only this kind of database can have wrong."""

    def fill(self, tables: Iterable[tuple[str, tuple[str, ...], Iterator[Any]]]) -> None:
        """Put rows into tables, all in one transaction."""


class Moved(Struct, frozen=True):
    """One table: how many rows, and a digest over all of them that does not depend on their order."""

    table: str
    rows: int
    digest: str


def copy(source: Movable, target: Movable) -> list[Moved]:
    """Copy everything. Raises ConfigurationError if the target is not empty, or does not hold the same afterwards."""
    shape = source.shape()
    if shape != target.shape():
        raise unusable(f"{source.name} and {target.name} have different tables. Upgrade both: keyscope db upgrade.")
    if any(moved.rows for moved in measure(target)):
        raise unusable(f"{target.name} is not empty, and nothing is ever copied over something. Name another one.")

    def move(reader: SqlReader) -> None:
        target.fill((table, columns, _rows(reader, table, columns)) for table, columns in shape.items())

    source.read(move)
    before, after = measure(source), measure(target)
    if before != after:
        raise unusable(f"{target.name} does not hold what {source.name} holds. Was it in use? Stop the servers first.")
    return after


def measure(movable: Movable) -> list[Moved]:
    """What there is, table by table."""
    shape = movable.shape()
    found: list[Moved] = movable.read(
        lambda reader: [_moved(table, _rows(reader, table, columns)) for table, columns in shape.items()]
    )
    return found


def _rows(reader: SqlReader, table: str, columns: tuple[str, ...]) -> Iterator[Any]:
    return reader.walk(f"SELECT {', '.join(columns)} FROM {table}")  # noqa: S608  (names from the schema)


def _moved(table: str, found: Iterator[Any]) -> Moved:
    rows, total = 0, 0
    for row in found:
        rows += 1
        total += int.from_bytes(hashlib.sha256(_pack([_plain(value) for value in row])).digest())
    return Moved(table, rows, f"{total % _WRAP:064x}")


def _plain(value: object) -> object:
    # SQLite has no booleans.
    return int(value) if isinstance(value, bool) else value
