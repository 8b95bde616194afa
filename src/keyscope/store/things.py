"""The ledger of own things in one SQLite file beside the database, ``<database>.things``: shared by all processes.

Durable on commit (``synchronous=FULL``): what was written down survives every end of the process and a power failure.
If the file is lost, nothing is anybody's own any longer, so that opens no door.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock

from keyscope.authority.things import Owners, Thing
from keyscope.store.beside import Beside, make_private
from keyscope.store.transaction import transaction
from keyscope.store.trouble import closing_the_gate, opening

THINGS = Beside(".things", 0x4B657954, "thing_migrations", busy_timeout_s=5.0)
"""“KeyT”."""
_MAPPED_BYTES = 1 << 30
"""Read without a system call: to look a thing up is on the way of every call of a key that has own things."""
_FIND = "SELECT makers FROM things WHERE account_id = ? AND resource = ? AND id = ?"
_FIND_ALL = (
    "SELECT things.resource, things.id, makers FROM json_each(?) AS asked CROSS JOIN things"
    " ON account_id = ? AND things.resource = asked.value ->> 0 AND things.id = asked.value ->> 1"
)
_FEW = 4
"""So many are looked up one by one; for more, one question is quicker."""
_ADD = "INSERT OR IGNORE INTO things VALUES (?, ?, ?, ?, ?)"


def things_beside(database: Path) -> Path:
    """The file of the ledger."""
    return THINGS.path(database)


def open_things(path: Path | None) -> SqliteThings:
    """The ledger in this file, made if there is none; None for one in memory. Raises ConfigurationError."""
    if path is None:
        connection = THINGS.in_memory()
        return SqliteThings(connection, connection)
    make_private(path, str(path), "Let this user write to it.")
    with opening(path):
        writing = _connect(path)
        THINGS.bring_up(writing, path)
        return SqliteThings(_connect(path), writing)


def _connect(path: Path) -> sqlite3.Connection:
    connection = THINGS.connect(path)
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(f"PRAGMA mmap_size = {_MAPPED_BYTES}")
    return connection


class SqliteThings:
    """Use ``open_things``. Looking up never waits for who writes."""

    def __init__(self, reading: sqlite3.Connection, writing: sqlite3.Connection) -> None:
        self._reading = reading
        self._writing = writing
        self._lock = Lock()

    def known(self, account_id: str, things: Sequence[Thing]) -> Owners:
        """Everything: the file is here."""
        return self.owners(account_id, things)

    def owners(self, account_id: str, things: Sequence[Thing]) -> Owners:
        with closing_the_gate():
            return _owners(self._reading, account_id, things)

    def add(self, account_id: str, things: Sequence[Thing], makers: Sequence[str], at_ms: int) -> Owners:
        rows = [(account_id, resource, thing, " ".join(makers), at_ms) for resource, thing in things]
        with self._lock, closing_the_gate(), transaction(self._writing):
            self._writing.executemany(_ADD, rows)
            return _owners(self._writing, account_id, things)

    def close(self) -> None:
        self._reading.close()
        self._writing.close()


@lru_cache(maxsize=4096)
def holders(makers: str) -> frozenset[str]:
    """Those that a row names. Many things have the same maker."""
    return frozenset(makers.split(" "))


def _owners(connection: sqlite3.Connection, account_id: str, things: Sequence[Thing]) -> Owners:
    found: dict[Thing, frozenset[str]] = {}
    if len(things) > _FEW:
        rows = connection.execute(_FIND_ALL, (json.dumps(things), account_id))
        return {(resource, thing): holders(makers) for resource, thing, makers in rows}
    for thing in things:
        row = connection.execute(_FIND, (account_id, *thing)).fetchone()
        if row is not None:
            found[thing] = holders(row[0])
    return found
