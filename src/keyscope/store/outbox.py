"""Webhooks in one SQLite file beside the database, ``<database>.webhooks``: shared by all processes, durable on commit.

A file of its own, so that telling somebody something never makes the gate read the keys anew.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from keyscope.authority.webhooks import MOST_ENDPOINTS, Backlog, Delivery, Endpoint, Marks, Message, wanted
from keyscope.store.beside import Beside, make_private
from keyscope.store.transaction import transaction
from keyscope.store.trouble import closing_the_gate, opening

OUTBOX = Beside(".webhooks", 0x4B657957, "webhook_migrations", busy_timeout_s=5.0)
"""“KeyW”."""

_ENDPOINT = "endpoints.id, account_id, url, kinds, sealed, created_at_ms"
_DELIVERY = (
    f"SELECT {_ENDPOINT}, number, kind, at_ms, body, tries, due_at_ms, dead_at_ms, outcome FROM deliveries"  # noqa: S608
    " JOIN messages USING (number) JOIN endpoints ON endpoints.id = endpoint_id"
)
_DUE = f"""
WITH due AS (
    SELECT endpoint_id AS due_of, number AS due_number,
        row_number() OVER (PARTITION BY endpoint_id ORDER BY number) AS place
    FROM deliveries WHERE dead_at_ms IS NULL AND due_at_ms <= ?
)
{_DELIVERY} JOIN due ON due_of = endpoint_id AND due_number = number WHERE place <= ? ORDER BY number
"""  # noqa: S608
"""At most so many of each endpoint, so that one that takes nothing leaves the others theirs."""


def outbox_beside(database: Path) -> Path:
    """The file of the outbox."""
    return OUTBOX.path(database)


def open_outbox(path: Path | None) -> SqliteOutbox:
    """The outbox in this file, made if there is none; None for one in memory. Raises ConfigurationError."""
    if path is None:
        return SqliteOutbox(OUTBOX.in_memory())
    make_private(path, str(path), "Let this user write to it.")
    with opening(path):
        connection = OUTBOX.connect(path)
        connection.execute("PRAGMA synchronous = FULL")
        OUTBOX.bring_up(connection, path)
    return SqliteOutbox(connection)


class SqliteOutbox:
    """Use ``open_outbox``."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        self._connection = connection
        self._lock = Lock()

    def add_endpoint(self, endpoint: Endpoint) -> bool:
        row = (endpoint.id, endpoint.account_id, endpoint.url, " ".join(endpoint.kinds), endpoint.sealed)
        with self._transaction() as connection:
            counted = "SELECT count(*) FROM endpoints WHERE account_id = ?"
            if connection.execute(counted, (endpoint.account_id,)).fetchone()[0] >= MOST_ENDPOINTS:
                return False
            connection.execute("INSERT INTO endpoints VALUES (?, ?, ?, ?, ?, ?)", (*row, endpoint.created_at_ms))
        return True

    def remove_endpoint(self, account_id: str, endpoint_id: str) -> bool:
        with self._transaction() as connection:
            gone = connection.execute(
                "DELETE FROM endpoints WHERE id = ? AND account_id = ?", (endpoint_id, account_id)
            ).rowcount
            _forget_told(connection)
        return gone > 0

    def endpoints(self, account_id: str | None = None) -> list[Endpoint]:
        statement = f"SELECT {_ENDPOINT} FROM endpoints WHERE ?1 IS NULL OR account_id = ?1 ORDER BY id"  # noqa: S608
        with self._transaction() as connection:
            return [_endpoint(row) for row in connection.execute(statement, (account_id,))]

    def note_first_uses(self, used_at_ms: Mapping[str, int]) -> None:
        with self._transaction() as connection:
            if connection.execute("SELECT 1 FROM endpoints LIMIT 1").fetchone() is not None:
                connection.executemany("INSERT OR IGNORE INTO first_uses VALUES (?, ?)", used_at_ms.items())

    def first_uses(self) -> dict[str, int]:
        with self._transaction() as connection:
            return dict(connection.execute("SELECT key_id, at_ms FROM first_uses").fetchall())

    def marks(self) -> Marks | None:
        with self._transaction() as connection:
            found = dict(connection.execute("SELECT name, value FROM marks").fetchall())
        return Marks(found["event"], found["expired"], found["expiring"]) if found else None

    def put(self, messages: Sequence[Message], marks: Marks, first_uses: Sequence[str], now_ms: int) -> None:
        with self._transaction() as connection:
            endpoints = [_endpoint(row) for row in connection.execute(f"SELECT {_ENDPOINT} FROM endpoints")]  # noqa: S608
            for message in messages:
                _add(connection, message, [e for e in endpoints if wanted(e, message)], now_ms)
            values = (("event", marks.event), ("expired", marks.expired_ms), ("expiring", marks.expiring_ms))
            connection.executemany("INSERT OR REPLACE INTO marks VALUES (?, ?)", values)
            connection.executemany("DELETE FROM first_uses WHERE key_id = ?", [(key_id,) for key_id in first_uses])

    def due(self, now_ms: int, limit: int) -> list[Delivery]:
        with self._transaction() as connection:
            return [_delivery(row) for row in connection.execute(_DUE, (now_ms, limit))]

    def delivered(self, delivery: Delivery) -> None:
        with self._transaction() as connection:
            connection.execute(
                "DELETE FROM deliveries WHERE endpoint_id = ? AND number = ?", (delivery.endpoint.id, delivery.number)
            )
            _forget_told(connection)

    def failed(self, delivery: Delivery, outcome: str, due_at_ms: int, dead_at_ms: int | None) -> None:
        with self._transaction() as connection:
            connection.execute(
                "UPDATE deliveries SET tries = ?, outcome = ?, due_at_ms = ?, dead_at_ms = ?"
                " WHERE endpoint_id = ? AND number = ?",
                (delivery.tries + 1, outcome, due_at_ms, dead_at_ms, delivery.endpoint.id, delivery.number),
            )

    def dead(self, account_id: str, limit: int) -> list[Delivery]:
        statement = f"{_DELIVERY} WHERE dead_at_ms IS NOT NULL AND account_id = ? ORDER BY number DESC LIMIT ?"
        with self._transaction() as connection:
            return [_delivery(row) for row in connection.execute(statement, (account_id, limit))]

    def retry(self, account_id: str, endpoint_id: str, now_ms: int) -> int:
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE deliveries SET tries = 0, due_at_ms = ?, dead_at_ms = NULL WHERE dead_at_ms IS NOT NULL"
                " AND endpoint_id IN (SELECT id FROM endpoints WHERE id = ? AND account_id = ?)",
                (now_ms, endpoint_id, account_id),
            ).rowcount

    def backlog(self) -> Backlog:
        with self._transaction() as connection:
            statement = "SELECT count(*) - count(dead_at_ms), count(dead_at_ms) FROM deliveries"
            return Backlog(*connection.execute(statement).fetchone())

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, closing_the_gate(), transaction(self._connection):
            yield self._connection


def _add(connection: sqlite3.Connection, message: Message, endpoints: Sequence[Endpoint], now_ms: int) -> None:
    if not endpoints:
        return
    row = (message.source, message.kind, message.at_ms, message.body)
    added = connection.execute(
        "INSERT OR IGNORE INTO messages (source, kind, at_ms, body) VALUES (?, ?, ?, ?) RETURNING number", row
    ).fetchone()
    if added is not None:
        rows = [(endpoint.id, added[0], 0, now_ms, None, "") for endpoint in endpoints]
        connection.executemany("INSERT INTO deliveries VALUES (?, ?, ?, ?, ?, ?)", rows)


def _forget_told(connection: sqlite3.Connection) -> None:
    """Forget messages that everybody has."""
    waiting = "SELECT 1 FROM deliveries WHERE deliveries.number = messages.number"
    connection.execute(f"DELETE FROM messages WHERE NOT EXISTS ({waiting})")  # noqa: S608


def _endpoint(row: tuple[Any, ...]) -> Endpoint:
    endpoint_id, account_id, url, kinds, sealed, created = row
    return Endpoint(
        id=endpoint_id, account_id=account_id, url=url, kinds=tuple(kinds.split()), sealed=sealed, created_at_ms=created
    )


def _delivery(row: tuple[Any, ...]) -> Delivery:
    number, kind, at_ms, body, tries, due_at_ms, dead_at_ms, outcome = row[6:]
    return Delivery(
        endpoint=_endpoint(row[:6]),
        number=number,
        kind=kind,
        at_ms=at_ms,
        body=body,
        tries=tries,
        due_at_ms=due_at_ms,
        dead_at_ms=dead_at_ms,
        outcome=outcome,
    )
