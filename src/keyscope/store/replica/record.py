"""What a node asks of the record, in SQL: its place in the sequence, the changes, all keys, and the rows of the nodes.

Every question is one statement, so its answer is one view.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import AsyncConnection, AsyncCursor, Connection

from keyscope.errors import StoreUnavailable
from keyscope.store.postgres.connect import LOOK_UP, NOTICES_US, SCHEMA, settings
from keyscope.store.postgres.query import CHANNEL, PLACE
from keyscope.store.replica.changes import Changes, RevokedLink, StoredFormer, StoredKey, StoredRun
from keyscope.store.replica.file import Snapshot
from keyscope.store.replica.lease import now_ns
from keyscope.store.replica.registry import NodeRow

CHANGED = CHANNEL
ACKNOWLEDGED = "keyscope_acknowledged"
"""Over the first channel comes that there is something new; over the second, a node's id and number."""

PAGE = 1000
"""Most changes that are read at once."""

_CHANGES = """
WITH news AS MATERIALIZED (SELECT number, key_ids FROM changes WHERE number > %(after)s ORDER BY number LIMIT %(page)s),
touched AS MATERIALIZED (SELECT DISTINCT unnest(key_ids) AS id FROM news)
SELECT 'number', number, NULL, NULL, NULL, NULL FROM news
UNION ALL SELECT 'key', NULL, id, parent_id, digest, record
    FROM touched JOIN keys USING (id) JOIN records USING (digest)
UNION ALL SELECT 'former', NULL, key_id, NULL, digest, record FROM former_secrets JOIN touched ON key_id = touched.id
UNION ALL SELECT 'link', NULL, key_id, link_id, NULL, NULL FROM revoked_derived JOIN touched ON key_id = touched.id
UNION ALL SELECT 'run', NULL, key_id, account_id, convert_to(devbox_id, 'UTF8'), NULL
    FROM runs JOIN touched ON key_id = touched.id WHERE devbox_id IS NOT NULL
"""

_RUNS = "key_id, account_id, devbox_id FROM runs WHERE devbox_id IS NOT NULL"

_REGISTER = (
    "INSERT INTO nodes (id, name, version, lease_ms, beat, number) VALUES (%s, %s, %s, %s, 1, 0)"
    " ON CONFLICT (id) DO UPDATE SET beat = nodes.beat + 1"
)
_BEAT = "UPDATE nodes SET beat = beat + 1, seen_at = clock_timestamp() WHERE id = %s"
_ACKNOWLEDGE = (
    "WITH said AS (UPDATE nodes SET number = greatest(number, %(number)s) WHERE id = %(id)s RETURNING id)"
    " SELECT pg_notify('keyscope_acknowledged', %(id)s || ' ' || %(number)s) FROM said"
)
_NODES = "SELECT id, name, lease_ms, beat, number FROM nodes"
_FORGET = "DELETE FROM nodes WHERE id = %s AND beat = %s"
_LEAVE = "DELETE FROM nodes WHERE id = %s"

_NOT_REPLICATED = "01000"
"""The warning of a commit that was told not to wait for its standby any longer: nobody knows whether it will last."""


class Place(Struct, frozen=True):
    """Which record it is, and the number of its newest change."""

    epoch: str
    number: int


class Node(Struct, frozen=True):
    """A node as it registers. ``lease_ms`` is how long its leases last."""

    id: str
    name: str
    version: str
    lease_ms: int


class Record:
    """One connection to the record, for one task. Every method raises psycopg.Error."""

    def __init__(self, connection: AsyncConnection[Any]) -> None:
        self._connection = connection
        self._doubts = ""
        self._awaited = 0
        self._since_ns = 0
        connection.add_notice_handler(self._noticed)

    @property
    def descriptor(self) -> int:
        """Of the socket."""
        return self._connection.fileno()

    def silent_ns(self) -> int:
        """For how long it has owed an answer, and given none. A beat is not counted: its commit waits for a standby."""
        return now_ns() - self._since_ns if self._awaited else 0

    async def place(self) -> Place:
        row = await self._one(PLACE)
        return Place(row[0], row[1])

    async def changes(self, after: int) -> Changes:
        """What was committed after a number, at most ``PAGE`` of it."""
        found = await self._ask(_CHANGES, {"after": after, "page": PAGE})
        rows = await found.fetchall()
        return Changes(
            tuple(row[1] for row in rows if row[0] == "number"),
            tuple(StoredKey(row[2], row[4], row[5], row[3]) for row in rows if row[0] == "key"),
            tuple(StoredFormer(row[4], row[2], row[5]) for row in rows if row[0] == "former"),
            tuple(RevokedLink(row[2], row[3]) for row in rows if row[0] == "link"),
            tuple(StoredRun(row[2], row[3], row[4].decode()) for row in rows if row[0] == "run"),
        )

    async def beat(self, node: Node) -> None:
        """Commit a sign of life, as durably as any change. Who is not in the record yet, or no longer, is again."""
        done = await self._connection.execute(_BEAT, (node.id,))
        if not done.rowcount:
            await self._connection.execute(_REGISTER, (node.id, node.name, node.version, node.lease_ms))
        if self._doubts:
            raise StoreUnavailable(f"a commit may be lost: {self._doubts}")

    async def acknowledge(self, node_id: str, number: int) -> None:
        """Say that everything up to the number is applied. It need not last: it is said again."""
        await self._ask(_ACKNOWLEDGE, {"id": node_id, "number": number})

    async def need_not_last(self) -> None:
        """What this connection commits need not survive a crash of the record."""
        await self._ask("SET synchronous_commit = off")

    async def nodes(self) -> list[NodeRow]:
        found = await self._ask(_NODES)
        return [NodeRow(*row) for row in await found.fetchall()]

    async def forget(self, row: NodeRow) -> None:
        """Take out a node that was silent for long, unless it is not any more."""
        await self._ask(_FORGET, (row.id, row.beat))

    async def leave(self, node_id: str) -> None:
        """Take out this node, whose lease is over for good."""
        await self._ask(_LEAVE, (node_id,))

    async def begin(self) -> None:
        """To be called first."""
        await self._ask(*settings())
        await self._ask(LOOK_UP)

    async def listen(self) -> None:
        await self._ask(f"LISTEN {CHANGED}")
        await self._ask(f"LISTEN {ACKNOWLEDGED}")

    async def heard(self) -> AsyncIterator[tuple[str, str]]:
        """Channel and payload of what is notified, for ever. No other use of the connection meanwhile."""
        async for notice in self._connection.notifies():
            yield notice.channel, notice.payload

    async def _one(self, statement: str) -> tuple[Any, ...]:
        found = await self._ask(statement)
        row = await found.fetchone()
        if row is None:
            raise StoreUnavailable("the record answered nothing")
        return tuple(row)

    async def _ask(
        self, statement: str, parameters: Sequence[Any] | Mapping[str, Any] | None = None
    ) -> AsyncCursor[Any]:
        if not self._awaited:
            self._since_ns = now_ns()
        self._awaited += 1
        try:
            return await self._connection.execute(statement, parameters)
        finally:
            self._awaited -= 1
            self._since_ns = now_ns()

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        if notice.sqlstate == _NOT_REPLICATED:
            self._doubts = notice.message_primary or "no reason given"


@contextmanager
def snapshot(connection: Connection[Any]) -> Iterator[Snapshot]:
    """All that a replica holds, in one view of the record. Read it to its end, in the order of its fields."""
    connection.execute(NOTICES_US)
    connection.execute(f"SET search_path TO {SCHEMA}")
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        place = connection.execute(PLACE).fetchone()
        if place is None:
            raise StoreUnavailable("the record answered nothing")
        yield Snapshot(
            place[0],
            place[1],
            _copied(connection, "digest, record FROM records ORDER BY digest", "bytea bytea"),
            _copied(connection, "id, digest, parent_id FROM keys ORDER BY id", "text bytea text"),
            (
                StoredFormer(*row)
                for row in _copied(connection, "digest, key_id, record FROM former_secrets", "bytea text bytea")
            ),
            (RevokedLink(*row) for row in _copied(connection, "key_id, link_id FROM revoked_derived", "text text")),
            (StoredRun(*row) for row in _copied(connection, _RUNS, "text text text")),
        )


def _copied(connection: Connection[Any], what: str, types: str) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor, cursor.copy(f"COPY (SELECT {what}) TO STDOUT (FORMAT BINARY)") as copy:
        copy.set_types(types.split())
        yield from copy.rows()
