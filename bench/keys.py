"""Databases full of keys, made once with the store's own schema and rows, and kept in ``.cache/bench``.

The keys are those of a platform: one standard key, and restricted keys that it minted, each with a few scopes and an
expiry. Their texts follow from their numbers, so that no list of secrets lies about.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

from keyscope.authority.ports import Account
from keyscope.model.derived import share_of
from keyscope.model.ident import format_id
from keyscope.model.key import Key
from keyscope.model.scope import Scope
from keyscope.model.secret import Secret
from keyscope.model.token import Kind, format_token
from keyscope.store import rows
from keyscope.store.query import ADD_KEY
from keyscope.store.rows import key_row, record_of
from keyscope.store.sqlite import SqliteStore

CACHE = Path(os.environ.get("BENCH_CACHE", ".cache/bench"))
_MADE_MS = 1_700_000_000_000
_EXPIRES_MS = 4_000_000_000_000
_ACCOUNT = Account("acct_bench", "bench", _MADE_MS)
_SCOPES = (
    "devboxes:read",
    "devboxes:write objects:read",
    "devboxes:read blueprints:read snapshots:read",
    "devboxes:write blueprints:write objects:write secrets:read",
)
_PARSED = tuple(tuple(map(Scope.parse, text.split())) for text in _SCOPES)
_BATCH = 10_000


def secret(number: int) -> Secret:
    """The text of key ``number``; 0 is the standard key."""
    kind = Kind.RESTRICTED if number else Kind.STANDARD
    return format_token(kind, sha256(b"keyscope bench %d" % number).digest())


def key_id(number: int) -> str:
    """The id of key ``number``."""
    return format_id("key", _MADE_MS + number, number.to_bytes(10))


def token(number: int) -> bytes:
    return secret(number).reveal().encode()


def database(count: int) -> Path:
    """A database with one standard key and ``count`` restricted ones, made if it is not there. Do not write to it."""
    path = CACHE.resolve() / f"keys-{count}-{_schema()}.db"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part.db")
        _make(part, count)
        part.with_name(part.name + ".marker").unlink()
        part.replace(path)
    return path


def a_copy(count: int, directory: Path) -> Path:
    """A copy of a database, to be written to."""
    return Path(shutil.copyfile(database(count), directory / "keyscope.db"))


def warm(path: Path) -> None:
    """Read the file once, so that what is measured is not the disk."""
    with path.open("rb") as file:
        while file.read(1 << 20):
            pass


def restricted(number: int) -> Key:
    """Key ``number``, minted by the standard key."""
    return _key(number, key_id(0))


def _schema() -> str:
    """Changes with the schema, the rows and the keys, so that an old file is never measured."""
    root = Path(rows.__file__).parent
    parts = [*sorted((root / "migrations").glob("*.sql")), root / "rows.py", Path(__file__)]
    return sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:8]


def _make(path: Path, count: int) -> None:
    path.unlink(missing_ok=True)
    SqliteStore.open(path).close()
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = MEMORY", "synchronous = OFF", "cache_size = -1048576", "temp_store = MEMORY"):
        connection.execute(f"PRAGMA {pragma}")
    connection.execute("BEGIN")
    connection.execute(
        "INSERT INTO accounts (id, name, created_at_ms) VALUES (?, ?, ?)",
        (_ACCOUNT.id, _ACCOUNT.name, _ACCOUNT.created_at_ms),
    )
    connection.executemany("INSERT INTO records VALUES (?, ?)", ((key.digest, record_of(key)) for key in _keys(count)))
    connection.executemany(ADD_KEY, (key_row(key) for key in _keys(count)))
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()


def _keys(count: int) -> Iterator[Key]:
    root = _key(0, None)
    yield root
    for number in range(1, count + 1):
        yield _key(number, root.id)


def _key(number: int, parent_id: str | None) -> Key:
    text = secret(number)
    return Key(
        id=key_id(number),
        account_id=_ACCOUNT.id,
        kind=Kind.RESTRICTED if number else Kind.STANDARD,
        name=f"agent-{number}",
        digest=text.digest,
        hint=text.hint,
        scopes=_PARSED[number % len(_PARSED)] if number else (),
        created_at_ms=_MADE_MS + number,
        parent_id=parent_id,
        expires_at_ms=_EXPIRES_MS if number % 2 else None,
        share=share_of(text),
    )
