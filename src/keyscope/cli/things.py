"""``keyscope db adopt``: what a crash left nobody's own becomes a key's."""

from __future__ import annotations

from contextlib import closing

import click

from keyscope.cli.output import note
from keyscope.cli.trail import database_option
from keyscope.errors import ConfigurationError, Fault
from keyscope.model.key import Lineage
from keyscope.store.open import SQLITE, open_store
from keyscope.store.things import SqliteThings, things_for
from keyscope.system import SystemClock


@click.command()
@click.argument("key_id")
@click.argument("resource_type")
@click.argument("id", metavar="ID")
@database_option
def adopt(key_id: str, resource_type: str, id: str, database: str) -> None:  # noqa: A002  (its name to people)
    """Write down that a key made a thing: for a key that may touch only what it made, after a crash.

    On the host of the server, while it runs or not. What is somebody's own already stays so.
    """
    things = things_for(database) if database.startswith(SQLITE) else None
    if things is None:
        raise _refused("--database", "own things are kept beside a SQLite database: name that one")
    with closing(things), closing(open_store(database)) as store:
        lineage = store.read(lambda reader: reader.lineage(key_id))
        if lineage is None:
            raise _refused("KEY_ID", f"there is no key {key_id} in this database")
        _adopt(things, lineage, (resource_type, id))
    note(f"{id} is {key_id}'s own, and that of the keys above it.")


def _adopt(things: SqliteThings, lineage: Lineage, thing: tuple[str, str]) -> None:
    owners = things.add(lineage.key.account_id, [thing], lineage.ids, SystemClock().now_ms())[thing]
    if lineage.key.id not in owners:
        raise _refused("ID", f"{thing[1]} is the own of another key, and stays so")


def _refused(path: str, why: str) -> ConfigurationError:
    return ConfigurationError(why, [Fault(path, why)])
