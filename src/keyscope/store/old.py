"""What an older record still knows: the changes after a number, from a database that was replaced, from an audit trail,
or from an export of one (``keyscope audit export``). The file is only read.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from keyscope.authority.again import Later
from keyscope.authority.trail import CHECKPOINT, Entry
from keyscope.store import migrate, trail_open
from keyscope.store.trouble import opening, unusable

_SQLITE = b"SQLite format 3\0"
_EVENTS = "SELECT number, kind, at_ms, account_id, key_id, changes FROM events WHERE number >= ? ORDER BY number"
_ENTRIES = "SELECT record FROM entries WHERE event >= ? ORDER BY number"


def later_than(old: Path, last: Later | None) -> list[Later]:
    """Every change after ``last``, the newest one of the backup; None for a backup without any.

    Raises ConfigurationError for a file that is none of these, is of another authority, or does not reach back far
    enough: then nobody could say what is missing.
    """
    since = last.number if last is not None else 1
    found = [*_changes(old, since)]
    if last is None:
        _check_unbroken(old, found, since)
        return found
    if not found or found[0] != last:
        raise unusable(
            f"{old} does not go on from this backup: it does not have change {since} as the backup has it."
            " Name the database that the backup was made of, its audit trail, or an export of that."
        )
    _check_unbroken(old, found, since)
    return found[1:]


def _check_unbroken(old: Path, found: list[Later], since: int) -> None:
    for number, change in enumerate(found, start=since):
        if change.number != number:
            raise unusable(f"{old} lacks change {number}. Name a record that has all of them.")


def _changes(old: Path, since: int) -> Iterator[Later]:
    try:
        with old.open("rb") as file:
            is_sqlite = file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise unusable(f"{old} cannot be read: {error.strerror}.") from None
    return _of_sqlite(old, since) if is_sqlite else _of_lines(old, since)


def _of_sqlite(old: Path, since: int) -> Iterator[Later]:
    with opening(old), closing(sqlite3.connect(f"{old.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if application == trail_open.TRAIL.application_id:
            yield from _of_entries((record for (record,) in connection.execute(_ENTRIES, (since,))), since)
            return
        migrate.check_ours(connection, old, len(migrate.steps()))
        for number, kind, at_ms, account_id, key_id, changes in connection.execute(_EVENTS, (since,)):
            told: dict[str, Any] = json.loads(changes)
            yield Later(number=number, kind=kind, at_ms=at_ms, account_id=account_id, key_id=key_id, changes=told)


def _of_lines(old: Path, since: int) -> Iterator[Later]:
    with old.open("rb") as lines:
        yield from _of_entries(lines, since)


def _of_entries(records: Iterable[str | bytes], since: int) -> Iterator[Later]:
    """The copies of changes among the entries. Of a checkpoint the number says only how far the trail was."""
    for record in records:
        try:
            entry = msgspec.json.decode(record, type=Entry)
        except msgspec.MsgspecError as error:
            raise unusable(f"This is no audit trail, nor an export of one: {error}.") from None
        if entry.event is not None and entry.event >= since and entry.kind != CHECKPOINT:
            yield Later(
                number=entry.event,
                kind=entry.kind,
                at_ms=entry.at_ms,
                account_id=entry.account_id,
                key_id=entry.key_id,
                changes=entry.changes,
            )
