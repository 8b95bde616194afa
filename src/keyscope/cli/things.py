"""``keyscope db adopt``: what a crash left nobody's own becomes a key's."""

from __future__ import annotations

from contextlib import closing

import click

from keyscope.authority.things import Things
from keyscope.cli.output import note
from keyscope.cli.trail import database_option
from keyscope.errors import ConfigurationError, Fault
from keyscope.model.key import Lineage
from keyscope.store.open import open_store
from keyscope.system import SystemClock


@click.command()
@click.argument("key_id")
@click.argument("resource_type")
@click.argument("id", metavar="ID")
@database_option
def adopt(key_id: str, resource_type: str, id: str, database: str) -> None:  # noqa: A002  (its name to people)
    """Write down that a key made a thing: for a key that may touch only what it made, after a crash.

    While servers run or not; with SQLite, on the host of the server. What is somebody's own already stays so.
    """
    with closing(open_store(database)) as store, closing(store.open_things()) as things:
        lineage = store.read(lambda reader: reader.lineage(key_id))
        if lineage is None:
            raise _refused("KEY_ID", f"there is no key {key_id} in this database")
        _adopt(things, lineage, (resource_type, id))
    note(f"{id} is {key_id}'s own, and that of the keys above it.")


def _adopt(things: Things, lineage: Lineage, thing: tuple[str, str]) -> None:
    owners = things.add(lineage.key.account_id, [thing], lineage.ids, SystemClock().now_ms())[thing]
    if lineage.key.id not in owners:
        raise _refused("ID", f"{thing[1]} is the own of another key, and stays so")


def _refused(path: str, why: str) -> ConfigurationError:
    return ConfigurationError(why, [Fault(path, why)])
