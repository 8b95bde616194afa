"""What the next version would leave in a database: a step, a column, a member of a key and a kind of event more."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from zlib import crc32

import msgspec

from keyscope.gate.followers import Followers, folder_beside
from keyscope.store import migrate
from keyscope.store.rows import _LENGTHS

KIND = "key.made_of_glass"


def step_further(database: Path, *, says_so: bool) -> None:
    """Apply a step that this version does not know. ``says_so``: it is one that leaves the version before at work."""
    known = len(migrate.steps())
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("ALTER TABLE accounts ADD COLUMN plan TEXT NOT NULL DEFAULT 'free'")
        if says_so:
            connection.execute("INSERT INTO meta (name, value) VALUES ('needs_step', ?)", (str(known),))
        connection.execute(f"PRAGMA user_version = {known + 1}")


def add_member(database: Path, key_id: str, kind: str = KIND) -> None:
    """Give a key's record one more field, and tell of it by an event, of a kind that is not known here or another."""
    with closing(sqlite3.connect(database)) as connection, connection:
        fields = msgspec.msgpack.decode(record(connection, key_id)[:-4])
        longest = [*fields, *[None] * (_LENGTHS[-1] - len(fields)), "only on Sundays"]
        packed = msgspec.msgpack.encode(longest)
        sealed = packed + crc32(packed).to_bytes(4)
        connection.execute("UPDATE records SET record = ? WHERE digest = ?", (sealed, fields[0]))
        connection.execute(
            "INSERT INTO events (kind, at_ms, account_id, key_id, chain, changes)"
            " SELECT ?, 1, account_id, id, '', CAST('{}' AS BLOB)"
            " FROM keys WHERE id = ?",
            (kind, key_id),
        )
    Followers(folder_beside(database)).confirm()


def record(connection: sqlite3.Connection, key_id: str) -> bytes:
    """The record of a key, as it is in the file."""
    found = connection.execute("SELECT record FROM records JOIN keys USING (digest) WHERE id = ?", (key_id,))
    (content,) = found.fetchone()
    return bytes(content)
