"""The file of a replica: the tables that an index reads, and up to which change of which record they are true.

One process writes it. It can be made anew from the record at any time, so a commit does not wait for the disk: after a
crash of the machine the file is as it was at some earlier change, and follows from there.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path

from keyscope.errors import StoreUnavailable
from keyscope.store import migrate
from keyscope.store.beside import make_private
from keyscope.store.connect import Link, is_in_place
from keyscope.store.index import SqliteIndex, data_version
from keyscope.store.replica.changes import Changes, RevokedLink, StoredFormer, StoredKey, StoredRun
from keyscope.store.replica.lease import Lease
from keyscope.store.sqlite import MAPPED_BYTES
from keyscope.store.transaction import transaction
from keyscope.store.trouble import closing_the_gate, opening

APPLICATION_ID = 0x4B657952
"""“KeyR”."""

BUSY_S = 5.0
_CHECKPOINT_ABOVE_BYTES = 16 << 20
_SCHEMA = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE records (digest BLOB PRIMARY KEY, record BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE keys (id TEXT PRIMARY KEY, digest BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE former_secrets (digest BLOB PRIMARY KEY, key_id TEXT NOT NULL, record BLOB NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE revoked_derived (key_id TEXT NOT NULL, link_id TEXT NOT NULL, PRIMARY KEY (key_id, link_id))
    STRICT, WITHOUT ROWID;
CREATE TABLE runs (key_id TEXT PRIMARY KEY, account_id TEXT NOT NULL, devbox_id TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX runs_by_devbox ON runs (account_id, devbox_id);
"""
_COPIES = """
ALTER TABLE keys ADD COLUMN parent_id TEXT;
CREATE INDEX keys_by_parent ON keys (parent_id);
CREATE INDEX former_secrets_by_key ON former_secrets (key_id);
CREATE TABLE touched (number INTEGER NOT NULL, key_id TEXT NOT NULL, is_new INTEGER NOT NULL,
    PRIMARY KEY (number, key_id)) STRICT, WITHOUT ROWID;
UPDATE meta SET value = '' WHERE name = 'epoch';
"""
"""For gates that keep a copy of the keys. What was there is built anew, for it has no parents."""
_SCHEMAS = (_SCHEMA, _COPIES)
_KEPT = 100_000
"""Changes whose keys are remembered for those gates."""

_TABLES = ("meta", "records", "keys", "former_secrets", "revoked_derived", "runs", "touched")
_TOUCH = "INSERT INTO touched VALUES (?, ?, NOT EXISTS (SELECT 1 FROM keys WHERE id = ?))"
_PUT_FORMER = "INSERT OR REPLACE INTO former_secrets VALUES (?, ?, ?)"
_PUT_LINK = "INSERT OR IGNORE INTO revoked_derived VALUES (?, ?)"
_PUT_RUN = "INSERT INTO runs VALUES (?, ?, ?)"
"""They are the same in both ways to fill the file."""


class Snapshot:
    """All that the record holds, as it is at a number: records by digest; digests and parents by key id.

    The iterators are used up in the order of the fields.
    """

    def __init__(
        self,
        epoch: str,
        number: int,
        records: Iterable[tuple[bytes, bytes]],
        keys: Iterable[tuple[str, bytes, str | None]],
        formers: Iterable[StoredFormer],
        links: Iterable[RevokedLink],
        runs: Iterable[StoredRun],
    ) -> None:
        self.epoch = epoch
        self.number = number
        self.records = records
        self.keys = keys
        self.formers = formers
        self.links = links
        self.runs = runs


class ReplicaFile:
    """For the process that follows. ``epoch`` is which record it is of, ``number`` the last change in it."""

    def __init__(self, path: Path, link: Link) -> None:
        self.path = path
        self._link = link
        self._connection = link.connection
        self.epoch, self.number = self._place()

    @classmethod
    def open(cls, path: Path) -> ReplicaFile:
        """Open, creating as needed. Raises ConfigurationError if the file is of no use."""
        path = path.resolve()
        create(path)
        with opening(path):
            return cls(path, _writing(path))

    def apply(self, changes: Changes) -> None:
        """All of them and their last number, in one transaction."""
        number = changes.numbers[-1]
        with closing_the_gate(), transaction(self._connection):
            self._connection.executemany(_TOUCH, [(number, key.id, key.id) for key in changes.keys])
            for key in changes.keys:
                self._put_key(key)
            self._connection.executemany(_PUT_FORMER, changes.formers)
            self._connection.executemany(_PUT_LINK, changes.links)
            self._connection.executemany("DELETE FROM runs WHERE key_id = ?", [(key.id,) for key in changes.keys])
            self._connection.executemany(_PUT_RUN, changes.runs)
            self._forget_touched(number - _KEPT)
            self._set(epoch=self.epoch, number=number)
        self.number = number

    def rebuild(self, snapshot: Snapshot) -> None:
        """Hold this and nothing else."""
        with closing_the_gate(), transaction(self._connection):
            for table in _TABLES:
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608  (a constant)
            self._connection.executemany("INSERT INTO records VALUES (?, ?)", snapshot.records)
            self._connection.executemany("INSERT INTO keys VALUES (?, ?, ?)", snapshot.keys)
            self._connection.executemany(_PUT_FORMER, snapshot.formers)
            self._connection.executemany(_PUT_LINK, snapshot.links)
            self._connection.executemany(_PUT_RUN, snapshot.runs)
            number = snapshot.number
            self._set(epoch=snapshot.epoch, number=number, build=secrets.token_hex(8), touched_since=number)
        self.epoch, self.number = snapshot.epoch, snapshot.number
        self.tidy(above_bytes=0)

    def tidy(self, above_bytes: int = _CHECKPOINT_ABOVE_BYTES) -> None:
        """Move what the WAL holds into the file, once there is much of it."""
        wal = self.path.with_name(self.path.name + "-wal")
        with closing_the_gate(), contextlib.suppress(FileNotFoundError):
            if wal.stat().st_size > above_bytes:
                self._connection.execute("PRAGMA wal_checkpoint(RESTART)")

    def check(self) -> None:
        """Raise StoreUnavailable if it is no longer the file at its path."""
        if not is_in_place(self.path, self._link.wal):
            raise StoreUnavailable(
                f"the replica {self.path} was removed or replaced while in use: start the node again"
            )

    def close(self) -> None:
        self._link.close()

    def _put_key(self, key: StoredKey) -> None:
        """A key that was rotated is found by its new digest alone: the old one is among the earlier secrets."""
        execute = self._connection.execute
        execute("DELETE FROM records WHERE digest = (SELECT digest FROM keys WHERE id = ?)", (key.id,))
        execute("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", (key.id, key.digest, key.parent_id))
        execute("INSERT OR REPLACE INTO records VALUES (?, ?)", (key.digest, key.record))

    def _place(self) -> tuple[str, int]:
        found = dict(self._connection.execute("SELECT name, value FROM meta"))
        return found.get("epoch", ""), found.get("number", 0)

    def _forget_touched(self, until: int) -> None:
        self._connection.execute("DELETE FROM touched WHERE number <= ?", (until,))
        self._connection.execute("UPDATE meta SET value = max(value, ?) WHERE name = 'touched_since'", (until,))

    def _set(self, **values: str | int) -> None:
        self._connection.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", values.items())


def create(path: Path) -> None:
    """Make the file, empty, if there is none. Safe while others do the same. Raises ConfigurationError."""
    make_private(path, f"The replica {path}", "See to its directory.")
    with opening(path):
        link = Link(path, BUSY_S)
        try:
            migrate.check_ours(link.connection, path, known=len(_SCHEMAS), application=APPLICATION_ID)
            migrate.write_ahead(link.connection, BUSY_S)
            migrate.migrate(link.connection, _SCHEMAS, application=APPLICATION_ID)
        finally:
            link.close()


def open_index(path: Path, lease: Lease) -> SqliteIndex:
    """A look-up for the calling thread that answers while the lease lasts, and raises NotHeard when it is over."""
    path = path.resolve()
    with closing_the_gate():
        link = Link(path, BUSY_S)
        link.connection.execute(f"PRAGMA mmap_size = {MAPPED_BYTES}")
        link.connection.execute("PRAGMA query_only = ON")
        link.connection.execute("SELECT 1 FROM meta").fetchone()  # only then is there a WAL-index to map
        link.wal.map()
        mapped = link.wal.reader()
        stamp: Callable[[], object] = mapped or data_version(link.connection)
        return SqliteIndex(link.connection, lease.guarded(stamp), link.close, may_hold=mapped is not None)


def _writing(path: Path) -> Link:
    link = Link(path, BUSY_S)
    for pragma in ("synchronous = NORMAL", "secure_delete = ON", "wal_autocheckpoint = 0", "cache_size = -65536"):
        link.connection.execute(f"PRAGMA {pragma}")
    return link
