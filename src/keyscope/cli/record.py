"""``keyscope db upgrade``, ``check`` and ``copy``: the tables, whether all is whole, from one database to another."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import click
from msgspec import to_builtins

from keyscope.cli.options import as_json
from keyscope.cli.output import note, print_json, print_table
from keyscope.cli.trail import database_option
from keyscope.store.moving import Movable
from keyscope.store.moving import copy as copy_all
from keyscope.store.open import SQLITE, open_store, sqlite_path, without_password
from keyscope.store.postgres.address import is_postgres, parse
from keyscope.store.sqlite import SqliteStore
from keyscope.store.sqlite_moving import SqliteMoving
from keyscope.store.trouble import unusable
from keyscope.store.whole import Fault, faults

NOT_WHOLE = 1
_SHOWN_DIGITS = 16


@click.command()
@database_option
def upgrade(database: str) -> None:
    """Bring the tables to those of this version, without starting a server. `serve` does the same when it starts."""
    open_store(database).close()
    note(f"{without_password(database)} has the tables of this version.")


@click.command()
@database_option
@as_json
def check(database: str, json: bool) -> None:
    """Read everything: every record with its checksum, every line of keys, all numbers, and whose own things are.

    Exit code 1 if anything is wrong.
    """
    with _opened(_there(database)) as movable:
        found = movable.read(lambda reader: [*faults(reader), *movable.own_faults(reader)])
    _tell(found, database, json)


@click.command()
@click.argument("source")
@click.argument("target")
def copy(source: str, target: str) -> None:
    """Copy a whole authority from SOURCE to TARGET, two URLs of databases, and prove that it arrived.

    Stop the servers first. TARGET must be empty. Everything in the database moves, and with it the ledger of own
    things. The audit trail, webhooks and counters are files beside it and stay where they are.
    """
    with _opened(_there(source)) as from_there, _opened(target) as to_here:
        moved = copy_all(from_there, to_here)
    print_table(("TABLE", "ROWS", "DIGEST"), [(one.table, str(one.rows), one.digest[:_SHOWN_DIGITS]) for one in moved])
    note(f"{without_password(target)} holds what {without_password(source)} holds.")


def _there(database: str) -> str:
    """What is to be read is not made first."""
    if database.startswith(SQLITE) and not sqlite_path(database).exists():
        raise unusable(f"There is no database at {database}. Name the one that keyscope serve keeps the keys in.")
    if is_postgres(database):
        from keyscope.store.postgres.prepare import require_tables  # it takes a while, and not all need it

        require_tables(parse(database))
    return database


@contextmanager
def _opened(database: str) -> Iterator[Movable]:
    with closing(open_store(database)) as store:
        if isinstance(store, SqliteStore):
            yield SqliteMoving(store)
            return
        from keyscope.store.postgres.moving import PostgresMoving  # these take a while, and not all need them
        from keyscope.store.postgres.store import PostgresStore

        if not isinstance(store, PostgresStore):
            raise unusable("There is nothing on a disk at memory://. Name a sqlite:///FILE or a PostgreSQL URL.")
        yield PostgresMoving(store)


def _tell(found: list[Fault], database: str, json: bool) -> None:
    if json:
        print_json({"whole": not found, "faults": to_builtins(found)})
    else:
        for fault in found:
            click.echo(f"{fault.of}: {fault.message}")
        if not found:
            click.echo(f"{without_password(database)} is whole.")
    if found:
        sys.exit(NOT_WHOLE)
