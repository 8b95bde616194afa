"""One transaction on a SQLite connection, for writing or for reading."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """What is done in the block is committed at its end, or undone as a whole if anything goes wrong."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    finally:
        roll_back(connection)


@contextmanager
def one_view(connection: sqlite3.Connection) -> Iterator[None]:
    """What is read in the block is of one moment."""
    connection.execute("BEGIN")
    try:
        yield
    finally:
        roll_back(connection)


def roll_back(connection: sqlite3.Connection) -> None:
    """End the transaction, if there still is one."""
    # SQLite has rolled back on its own after some errors (a full disk, for one).
    if connection.in_transaction:
        connection.execute("ROLLBACK")
