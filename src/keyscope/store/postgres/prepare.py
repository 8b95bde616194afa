"""From an address to a database that may be used: there, ours, current, and the one that this node knew.

Everything that is wrong is a ConfigurationError with a sentence that says how to mend it. A database that was emptied
is an error, never a fresh start.
"""

from __future__ import annotations

from keyscope.store.marker import Mark, Marker
from keyscope.store.postgres import migrate
from keyscope.store.postgres.address import Address
from keyscope.store.postgres.connect import Link, connect, database_id
from keyscope.store.postgres.trouble import opening
from keyscope.store.trouble import unusable


def prepare(address: Address, marker: Marker | None) -> str:
    """Bring the database up, and return its id, after every check."""
    mark = _remembered(marker) if marker is not None else None
    with opening(address), connect(address) as link:
        scripts = migrate.steps()
        migrate.check_known(link, address, len(scripts))
        if mark is not None and marker is not None and migrate.version(link) == 0:
            raise unusable(f"The database {address.shown} is empty, and was not. {_restore_or_begin(marker)}")
        migrate.migrate(link, scripts)
        own = _mark_of(link, address)
    if marker is not None:
        marker.hold(mark, own, shown=address.shown, newest="the newest backup", remedy=_restore_or_begin(marker))
    return own.database_id


def require_tables(address: Address) -> None:
    """Raise ConfigurationError for a database in which there is nothing of Keyscope's."""
    with opening(address), connect(address) as link:
        if migrate.version(link) == 0:
            raise unusable(
                f"The database {address.shown} is empty. Name the one that keyscope serve keeps the keys in."
            )


def _remembered(marker: Marker) -> Mark | None:
    folder = marker.path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        sentence = f"The directory {folder} cannot be made: {error.strerror}. Name another file with --replica."
        raise unusable(sentence) from None
    return marker.read()


def _mark_of(link: Link, address: Address) -> Mark:
    own = database_id(link)
    row = link.execute("SELECT event FROM numbers").fetchone()
    if own is None or row is None:
        raise unusable(f"The database {address.shown} is damaged: it has lost its id. Restore it from a backup.")
    return Mark(own, row[0])


def _restore_or_begin(marker: Marker) -> str:
    return f"Restore the database; or, to begin anew without its keys, delete {marker.path}."
