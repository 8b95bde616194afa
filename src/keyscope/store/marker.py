"""The file beside the database that remembers it: ``<database>.marker``.

Without it a database that vanished would look like a first start, and an older copy in its place would bring revoked
keys back. It holds the database's random id and a number of events that the database has had at least. The number is
raised after each commit and not synced: after a power failure it may be too low, which only weakens the check, and it
is never too high.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from keyscope.store.trouble import unusable

_SHAPE = re.compile(rb"database ([0-9a-f]{32})\nevents (\d{20})\n.*", re.DOTALL)
_EVENTS_AT = len("database ") + 32 + len("\nevents ")
_NOTE = "Keyscope keeps this file beside its database, to notice if the database is lost or replaced by an old copy.\n"


class Mark(NamedTuple):
    """What the marker says of its database."""

    database_id: str
    events: int


class Marker:
    """The marker of one database file."""

    def __init__(self, database: Path) -> None:
        self.path = database.with_name(database.name + ".marker")
        self._descriptor: int | None = None

    def read(self) -> Mark | None:
        """What it says, None if there is no marker. Raises ConfigurationError for one that says nothing."""
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unusable(
                f"The marker {self.path} cannot be read: {error.strerror}. Let this user read it."
            ) from error
        shape = _SHAPE.fullmatch(content)
        if shape is None:
            raise unusable(
                f"The marker {self.path} is damaged."
                " If the database beside it is the right one, delete the marker and start again."
            )
        return Mark(shape[1].decode(), int(shape[2]))

    def create(self, mark: Mark) -> None:
        """Write it as a whole and durably; a reader sees all of it or nothing."""
        part = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        content = f"database {mark.database_id}\nevents {mark.events:020}\n{_NOTE}".encode()
        try:
            with open(part, "wb", opener=_private) as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self.path)
            sync_directory(self.path.parent)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise unusable(f"The marker {self.path} cannot be written: {error.strerror}. See to the disk.") from error

    def hold(self, known: Mark | None, own: Mark, *, shown: object, newest: str, remedy: str) -> None:
        """Hold a database against what was known of it; None: from now on it is known.

        Raises ConfigurationError for another database, and for an older copy: ``newest`` is what to restore then.
        """
        if known is None:
            self.create(own)
        elif known.database_id != own.database_id:
            raise unusable(f"{shown} is not the database that the marker {self.path} knows. {remedy}")
        elif own.events < known.events:
            raise unusable(
                f"The database {shown} has lost changes: it holds {own.events} events and had {known.events}. Keys"
                f" revoked since would come back. Restore {newest}; or, to go on from this one, delete {self.path} and"
                " revoke those keys again."
            )

    def raise_to(self, events: int) -> None:
        """The database has had that many events."""
        # Should this fail the number stays too low, which refuses nothing: the commit it follows is good.
        with suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
            os.pwrite(self._descriptor, b"%020d" % events, _EVENTS_AT)

    def close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
