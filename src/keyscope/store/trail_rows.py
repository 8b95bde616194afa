"""Entries and counts to rows and back, and the two hashes that make a change of them show."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

import msgspec

from keyscope.authority.trail import Entry, UseCount
from keyscope.errors import StoreUnavailable
from keyscope.model.scope import Scope

Row = tuple[Any, ...]

GENESIS = bytes(32)
"""What stands for the hash before the first entry."""

_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Entry).decode


def record_of(entry: Entry) -> bytes:
    """The canonical JSON of an entry: members in the order of the type, absent ones left out."""
    return _encode(entry)


def entry_of(record: str) -> Entry:
    """Raises StoreUnavailable if it is no entry."""
    try:
        return _decode(record)
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"an entry of the audit trail cannot be read: {error}") from error


def chained(previous: bytes, record: bytes) -> bytes:
    """The hash of an entry: SHA-256 over the hash before it and the record."""
    return sha256(previous + record).digest()


def exported(connection: sqlite3.Connection, after: int) -> Iterator[tuple[int, str]]:
    """Every entry after a number, oldest first, as its record with its hash as one more member."""
    rows = connection.execute("SELECT number, record, hash FROM entries WHERE number > ? ORDER BY number", (after,))
    return ((number, f'{record[:-1]},"hash":"{hash_.hex()}"}}') for number, record, hash_ in rows)


def use_row(count: UseCount) -> Row:
    """The columns of ``uses``."""
    needs = " ".join(map(str, count.needs))
    return (count.minute_ms, count.key_id, count.operation or "", needs, count.account_id, count.calls)


def use_of(row: Row) -> UseCount:
    minute_ms, key_id, operation, needs, account_id, calls = row
    return UseCount(
        account_id=account_id,
        key_id=key_id,
        operation=operation or None,
        needs=tuple(map(Scope.parse, needs.split())),
        minute_ms=minute_ms,
        calls=calls,
    )


def sealed(rows: Iterable[Row]) -> dict[str, object]:
    """What seals the counts of a minute: how many rows and calls, and the SHA-256 of the rows in order, one a line."""
    digest, number, calls = sha256(), 0, 0
    for row in rows:
        digest.update(_encode(row) + b"\n")
        number += 1
        calls += row[-1]
    return {"rows": number, "calls": calls, "sha256": digest.hexdigest()}
