"""``keyscope db backup``, ``restore`` and ``reapply``: a copy of everything, and no key that comes back unseen."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path

import click

from keyscope.authority.again import (
    Later,
    Taken,
    last_change,
    still_held,
    take_away_again,
    taken_away,
    told_of,
    with_uncounted,
)
from keyscope.authority.ports import Store
from keyscope.cli.held import end_waiting
from keyscope.cli.options import option
from keyscope.cli.output import moment, note, print_table
from keyscope.cli.trail import database_option
from keyscope.errors import ConfigurationError, Fault
from keyscope.model.event import EventKind
from keyscope.model.key import Key
from keyscope.store.backup import back_up
from keyscope.store.old import later_than
from keyscope.store.open import SQLITE, open_store, sqlite_path
from keyscope.store.restore import unpacked
from keyscope.store.trouble import unusable
from keyscope.system import SystemClock

UNWANTED = 1
_OLD = "The database that is replaced, its audit trail, or an export of that."
_YES = "Do not ask."


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@database_option
@option("--keys", type=click.Path(path_type=Path), help="A second file, for the keys of the audit trail and webhooks.")
def backup(file: Path, database: str, keys: Path | None) -> None:
    """Copy the database, the audit trail and the webhooks into one new file, while the server runs or not.

    The keys that sign the audit trail and that open the secrets of webhooks are not in it: --keys writes them to a
    second file. Keep the two apart.
    """
    made = back_up(_path(database), file, keys, SystemClock().now_ms())
    note(f"{file} holds {', '.join(made.files)} up to change {made.events}.")
    if keys is None:
        note("The keys of the audit trail and of webhooks are not in it; --keys FILE writes them to a second file.")


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@database_option
@option("--keys", type=click.Path(path_type=Path), help="What --keys of the backup wrote.")
@option("--old", type=click.Path(path_type=Path), help=_OLD)
@option("--counters", help="As of serve, if uses are counted elsewhere than beside the database.")
@option("--revive", is_flag=True, help="What was revoked, suspended or narrowed after the backup may live again.")
@option("--yes", is_flag=True, help=_YES)
def restore(
    file: Path, database: str, keys: Path | None, old: Path | None, counters: str | None, revive: bool, yes: bool
) -> None:
    """Put a backup in the place of a database that is gone. Nothing is overwritten.

    Keys that were revoked, suspended or narrowed after the backup would be as they were before. --old names a record
    that knows them; they are listed, and the same is done to them again. Without such a record, --revive says that
    they may live.
    """
    path = _path(database)
    if old is None and not revive:
        fault = "name what knows the revocations since the backup; if nothing does, --revive restores without them"
        raise ConfigurationError("old", [Fault("--old", fault)])
    with unpacked(file, keys, path) as found:
        note(
            f"The backup was made at {moment(found.manifest.made_at_ms)} and ends with change {found.manifest.events}."
        )
        if old is not None:
            is_counted = bool(counters) or found.take_counters_of(old)
            _take_away(found.store, old, is_counted=is_counted, revive=revive, yes=yes)
        _end_held_calls(found.store)
        found.put_in_place(path)
    note(f"{database} is restored. Start the server.")
    if old is None:
        note("Nobody knows what was revoked since the backup; `keyscope panic --all-restricted` ends what might be.")


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@database_option
@option("--yes", is_flag=True, help=_YES)
def reapply(old: Path, database: str, yes: bool) -> None:
    """After a restore by other means: revoke, suspend and narrow again what a record says was, since the backup.

    OLD is the database that was replaced (SQLite), an audit trail, or an export of one. Run it before the server
    starts: from its first change on, the restored database goes its own way, and no record fits it any more.
    """
    with closing(open_store(database)) as store:
        _take_away(store, old, is_counted=True, revive=False, yes=yes)
        _end_held_calls(store)


def _end_held_calls(store: Store) -> None:
    """A held call is sent at most once, also if it was sent after the backup that says that it waits."""
    why = "the database was restored, and nobody knows whether it was sent meanwhile"
    ended = end_waiting(store, why)
    if ended:
        note(f"{ended} held calls that waited at the time of the backup are not sent: {why}.")


def _take_away(store: Store, old: Path, *, is_counted: bool, revive: bool, yes: bool) -> None:
    """List what was taken away since, and take it away again. Ends the program if nobody wants that."""
    now_ms = SystemClock().now_ms()
    later = later_than(old, store.read(last_change))
    taken = taken_away(later)
    if not is_counted:
        taken = store.read(lambda reader: with_uncounted(reader, taken))
    held = store.read(lambda reader: still_held(reader, taken, now_ms))
    _list(later, held)
    if not held or revive:
        return
    if not yes and not click.confirm("Do this to them again?", default=True, err=True):
        note("Nothing was changed. With --revive a restore leaves them as they were.")
        sys.exit(UNWANTED)
    changed = store.write(lambda writer: take_away_again(writer, taken, now_ms))
    note(f"{changed} keys are again as they were, or suspended where that is not known.")


def _list(later: list[Later], held: list[tuple[Key, Taken]]) -> None:
    note(f"{len(later)} changes came after the backup. They took something from {len(held)} keys that it holds.")
    if held:
        print_table(("ID", "NAME", "SINCE"), [(key.id, key.name, told_of(key, one)) for key, one in held])
    minted = sum(change.kind == EventKind.KEY_MINTED for change in later)
    if minted:
        note(f"{minted} keys were minted after it. Nothing here knows them, and they are refused: mint new ones.")
    if any(change.kind == EventKind.ACCOUNT_RULES_CHANGED for change in later):
        note("The rules of an account were changed after it. Look at them: keyscope rules show.")


def _path(database: str) -> Path:
    if not database.startswith(SQLITE):
        raise unusable("This is for a sqlite:///FILE. PostgreSQL has pg_dump for it: docs/postgres.md says how.")
    return sqlite_path(database)
