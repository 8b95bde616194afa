"""Put a backup in the place of a database that is gone. Nothing that is there is overwritten.

Everything is unpacked, checked and made current in a folder beside that place, and moved there at the end, the database
last: an end in the middle leaves no database, which the next start refuses because the marker is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from msgspec import Struct

from keyscope.authority.ports import Reader, StoredEvent
from keyscope.store.archive import COUNTERS, DATABASE, TRAIL, Manifest, folder_beside, unpack, unpack_keys
from keyscope.store.backup import beside, check_whole, copy_database
from keyscope.store.marker import sync_directory
from keyscope.store.sqlite import SqliteStore
from keyscope.store.trail_chain import last_event
from keyscope.store.trail_open import reading_trail
from keyscope.store.trail_signing import kept, known_key
from keyscope.store.trail_verify import Walk
from keyscope.store.trouble import unusable

_PAGE = 1_000
_FAMILY = ("", "-wal", "-shm", ".audit", ".audit-wal", ".audit-shm", ".audit.key", ".audit.checkpoint", ".marker")
_COUNTERS = (".counters", ".counters-wal", ".counters-shm", ".counters.marker")
_THINGS = (".things", ".things-wal", ".things-shm")
_WEBHOOKS = (".webhooks", ".webhooks-wal", ".webhooks-shm", ".webhooks.key")


class Unpacked(Struct, frozen=True):
    """A backup that was checked, in its folder. ``store`` is its database, brought to the current schema."""

    manifest: Manifest
    folder: Path
    store: SqliteStore

    def take_counters_of(self, old: Path) -> bool:
        """Count on from what the replaced database had counted, which is never less. False if that is not known."""
        counters = beside(old.resolve(), COUNTERS)
        if not counters.exists():
            return False
        (self.folder / COUNTERS).unlink(missing_ok=True)
        copy_database(counters, self.folder / COUNTERS)
        return True

    def put_in_place(self, database: Path) -> None:
        """Close the store, and move everything to where the database is to be. Raises ConfigurationError."""
        self.store.close()
        check_free(database)
        files = sorted(self.folder.iterdir(), key=lambda path: path.name == DATABASE)
        for path in files:
            path.rename(beside(database, path.name))
        sync_directory(database.parent)


def check_free(database: Path) -> None:
    """Raise ConfigurationError if anything of a database is where one is to be restored."""
    there = [
        name
        for end in (*_FAMILY, *_WEBHOOKS, *_COUNTERS, *_THINGS)
        if (name := database.with_name(database.name + end)).exists()
    ]
    if there:
        raise unusable(
            f"{there[0]} is there, and a restore never overwrites anything. Stop the server, and move {database.name}"
            " and all whose names begin with it into another folder, together."
        )


@contextmanager
def unpacked(archive: Path, keys: Path | None, database: Path) -> Iterator[Unpacked]:
    """The backup, checked, beside the place where it is to be. Raises ConfigurationError."""
    check_free(database)
    with folder_beside(database) as folder:
        made = unpack(archive, folder)
        if keys is not None:
            unpack_keys(keys, folder)
        for name in made.files:
            if not name.endswith(".checkpoint"):
                check_whole(folder / name, name)
        store = SqliteStore.open(folder / DATABASE)
        with closing(store):
            _check_same(store, made)
            if TRAIL in made.files:
                _check_trail(folder / TRAIL, store)
            yield Unpacked(made, folder, store)


def _check_same(store: SqliteStore, made: Manifest) -> None:
    if store.read(lambda reader: reader.last_number()) != made.events:
        raise unusable("The database in the backup does not hold what its manifest says. Take another backup.")


def _check_trail(trail: Path, store: SqliteStore) -> None:
    checkpoint = kept(trail)

    def work(reader: Reader) -> str | None:
        with reading_trail(trail) as connection:
            # What came after the copy of the trail and before that of the database is copied at the next start.
            walk = Walk(connection, known_key(trail), _events(reader, last_event(connection)))
            found = next(walk.findings([checkpoint] if checkpoint else []), None)
        return found.message if found is not None else None

    finding = store.read(work)
    if finding is not None:
        raise unusable(f"The audit trail in the backup is not whole: {finding}. Take another backup.")


def _events(reader: Reader, until: int) -> Iterator[StoredEvent]:
    after = 0
    while after < until and (page := reader.changes(after=after, limit=min(_PAGE, until - after))):
        yield from page
        after = page[-1].number
