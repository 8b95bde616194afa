"""The SQLite files that lie beside a database, one for each kind of thing that is not to stir the keys' index.

Each is known by its suffix and its application id, brings its own migrations, and is for this user alone.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import NamedTuple

from keyscope.store import migrate
from keyscope.store.trouble import unusable


class Beside(NamedTuple):
    """A kind of file. ``scripts`` is the folder of its migrations, ``busy_timeout_s`` how long a write waits."""

    suffix: str
    application_id: int
    scripts: str
    busy_timeout_s: float

    def path(self, database: Path) -> Path:
        """Where it lies. As SQLite does, links to the database are followed first."""
        database = database.resolve()
        return database.with_name(database.name + self.suffix)

    def in_memory(self) -> sqlite3.Connection:
        """One that is gone with the process."""
        connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        migrate.migrate(connection, migrate.steps(self.scripts), self.application_id)
        return connection

    def connect(self, path: Path, mode: str = "rw") -> sqlite3.Connection:
        """A connection to a file that is there."""
        uri = f"{path.as_uri()}?mode={mode}"
        return sqlite3.connect(
            uri, uri=True, timeout=self.busy_timeout_s, isolation_level=None, check_same_thread=False
        )

    def check_ours(self, connection: sqlite3.Connection, path: Path) -> None:
        """Raise ConfigurationError for the file of another program, and for one of a newer Keyscope."""
        migrate.check_ours(connection, path, len(migrate.steps(self.scripts)), self.application_id)

    def bring_up(self, connection: sqlite3.Connection, path: Path) -> None:
        """Make it current, in WAL. Raises ConfigurationError as ``check_ours`` does."""
        self.check_ours(connection, path)
        migrate.write_ahead(connection, self.busy_timeout_s)
        migrate.migrate(connection, migrate.steps(self.scripts), self.application_id)


def make_private(path: Path, called: str, remedy: str) -> None:
    """Make the file, empty, if there is none. Raises ConfigurationError: ``called`` cannot be opened, ``remedy``."""
    try:
        # Before SQLite does, for the mode: SQLite gives the -wal and -shm files the mode of the database. And only a
        # file that was not there: to close one that SQLite has open here would drop SQLite's locks.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise unusable(f"{called} cannot be opened: {error.strerror}. {remedy}") from error
