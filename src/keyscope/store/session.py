"""What a use case may do inside one transaction, in SQL that SQLite and PostgreSQL both take.

What PostgreSQL does in its own way is in store/postgres/.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from keyscope.authority.ports import (
    Account,
    DeadUses,
    Former,
    HeldQuery,
    KeyCount,
    KeyPage,
    KeyQuery,
    Selector,
    Session,
    StoredEvent,
    StoredLeak,
    StoredReply,
)
from keyscope.model.event import Event
from keyscope.model.held import Held, HeldState
from keyscope.model.key import Key, Lineage, State
from keyscope.model.token import Kind
from keyscope.store import held_rows, rows
from keyscope.store import query as sql
from keyscope.store.line import check_parent, lineage

NO_LIMIT = 1 << 62


class Answer(Protocol):
    """The rows of one statement."""

    @property
    def lastrowid(self) -> int | None: ...

    def fetchone(self) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """As Python's sqlite3 has it; parameters are written ``?``, or ``:name``."""

    def execute(self, statement: str, parameters: Any = (), /) -> Answer: ...

    def executemany(self, statement: str, rows: Iterable[Any], /) -> object: ...


class SqlReader:
    """A consistent view: everything is read in one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def walk(self, statement: str) -> Iterator[rows.Row]:
        """The rows of a long answer, one by one."""
        return iter(self._connection.execute(statement))

    def accounts(self) -> list[Account]:
        found = self._connection.execute("SELECT id, name, created_at_ms FROM accounts ORDER BY created_at_ms, id")
        return [rows.account_of(row) for row in found]

    def key(self, key_id: str) -> Key | None:
        row = self._one(sql.KEY_BY_ID, key_id)
        return rows.key_of(row[0]) if row is not None else None

    def lineage(self, key_id: str) -> Lineage | None:
        key = self.key(key_id)
        return lineage(key, self.key) if key is not None else None

    def keys(self, query: KeyQuery) -> KeyPage:
        page, total, parameters = sql.listing(query)
        found = [rows.key_of(record) for (record,) in self._connection.execute(page, parameters)]
        known: dict[str, Key | None] = {}

        def by_id(key_id: str) -> Key | None:
            if key_id not in known:
                known[key_id] = self.key(key_id)
            return known[key_id]

        items = tuple(lineage(key, by_id) for key in found[: query.limit])
        count: int = self._connection.execute(total, parameters).fetchone()[0]
        return KeyPage(items, len(found) > query.limit, count)

    def descendants(self, key_id: str) -> list[Key]:
        found = self._connection.execute(sql.DESCENDANTS, (key_id,))
        return [key for (record,) in found if (key := rows.key_of(record)).id != key_id]

    def lineages(self) -> Iterator[Lineage]:
        parents: dict[str, Lineage] = {}
        for (record,) in self.walk("SELECT record FROM records"):
            yield self._with_ancestors(rows.key_or_stopped(record), parents)

    def _with_ancestors(self, key: Key, parents: dict[str, Lineage]) -> Lineage:
        if key.parent_id is None:
            return Lineage(key)
        if key.parent_id not in parents:
            made = lineage(key, self._key_or_stopped)
            if made.parent is not None:
                parents[key.parent_id] = made.parent
            return made
        return Lineage(key, parents[key.parent_id])

    def _key_or_stopped(self, key_id: str) -> Key | None:
        row = self._one(sql.KEY_BY_ID, key_id)
        return rows.key_or_stopped(row[0]) if row is not None else None

    def former_digests(self) -> Iterator[bytes]:
        return (digest for (digest,) in self.walk("SELECT digest FROM former_secrets"))

    def digests_below(self, key_id: str, limit: int) -> list[bytes]:
        found = self._connection.execute(sql.DIGESTS_BELOW, (key_id, key_id, limit))
        return [digest for (digest,) in found]

    def last_used_ms(self, key_id: str) -> int | None:
        row = self._one("SELECT used_at_ms FROM key_usage WHERE key_id = ?", key_id)
        return row[0] if row is not None else None

    def formers(self, key_id: str) -> list[Former]:
        found = self._connection.execute("SELECT record FROM former_secrets WHERE key_id = ?", (key_id,))
        return [rows.former_of(record) for (record,) in found]

    def living_children(self, key_id: str, now_ms: int) -> int:
        row = self._one(sql.LIVING_CHILDREN, key_id, now_ms, now_ms)
        return row[0] if row is not None else 0

    def selected(self, account_id: str, selector: Selector) -> list[Key]:
        found = self._connection.execute(sql.SELECTED, sql.selection(account_id, selector))
        return [rows.key_of(record) for (record,) in found]

    def idle(self, account_id: str, before_ms: int, limit: int) -> list[Key]:
        found = self._connection.execute(sql.IDLE, (account_id, before_ms, before_ms, before_ms, before_ms, limit))
        return [rows.key_of(record) for (record,) in found]

    def expiring(self, after_ms: int, until_ms: int, limit: int | None = None) -> list[Key]:
        found = self._connection.execute(sql.EXPIRING, (after_ms, until_ms, NO_LIMIT if limit is None else limit))
        return [rows.key_of(record) for (record,) in found]

    def bound(self, account_id: str, devbox_id: str) -> list[Key]:
        return [rows.key_of(record) for (record,) in self._connection.execute(sql.BOUND, (account_id, devbox_id))]

    def lapsed(self, now_ms: int, limit: int) -> list[Key]:
        return [rows.key_of(record) for (record,) in self._connection.execute(sql.LAPSED, (now_ms, limit))]

    def dead_uses(self, key_id: str) -> DeadUses | None:
        row = self._one("SELECT uses, last_at_ms FROM dead_uses WHERE key_id = ?", key_id)
        return DeadUses(*row) if row is not None else None

    def key_counts(self, now_ms: int) -> list[KeyCount]:
        stopped = list(self._connection.execute(sql.STOPPED_TOTALS, {"now_ms": now_ms}))
        counts = [KeyCount(Kind(kind), State(state), keys) for kind, state, keys in stopped]
        for kind, total in self._connection.execute(sql.TOTALS):
            active = total - sum(count.keys for count in counts if count.kind == kind)
            counts.append(KeyCount(Kind(kind), State.ACTIVE, active))
        return sorted((count for count in counts if count.keys), key=lambda count: (count.kind, count.status))

    def derived_revoked(self, key_id: str, link_ids: Sequence[str]) -> bool:
        return any(self._one(sql.DERIVED_REVOKED, key_id, link_id) is not None for link_id in link_ids)

    def leak(self, digest: bytes) -> StoredLeak | None:
        row = self._one("SELECT digest, key_id, at_ms, revoked FROM leaks WHERE digest = ?", digest)
        return StoredLeak(row[0], row[1], row[2], bool(row[3])) if row is not None else None

    def leaked_ms(self, key_id: str) -> int | None:
        row = self._one("SELECT max(at_ms) FROM leaks WHERE key_id = ?", key_id)
        return row[0] if row is not None else None

    def rules(self, account_id: str) -> bytes:
        row = self._one(sql.RULES, account_id)
        return row[0].encode() if row is not None else b"{}"

    def events(self, account_id: str, *, after: int = 0, limit: int = 100) -> list[StoredEvent]:
        found = self._connection.execute(sql.EVENTS_OF_ACCOUNT, (account_id, after, limit))
        return [rows.event_of(row) for row in found]

    def changes(self, *, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        return [rows.event_of(row) for row in self._connection.execute(sql.EVENTS, (after, limit))]

    def last_number(self) -> int:
        row = self._one("SELECT max(number) FROM events")
        return row[0] or 0 if row is not None else 0

    def reply(self, caller_id: str, request_id: str) -> StoredReply | None:
        row = self._one(sql.REPLY, caller_id, request_id)
        return rows.reply_of(row) if row is not None else None

    def held_by_id(self, held_id: str) -> Held | None:
        row = self._one("SELECT record FROM held WHERE id = ?", held_id)
        return held_rows.held_of(row[0]) if row is not None else None

    def held(self, query: HeldQuery) -> list[Held]:
        found = self._connection.execute(held_rows.LISTED, held_rows.parameters(query))
        return [held_rows.held_of(record) for (record,) in found]

    def same_held(self, key_id: str, links: tuple[str, ...], digest: bytes, request_id: str | None) -> Held | None:
        row = self._one(held_rows.SAME, key_id, digest, " ".join(links), request_id)
        return held_rows.held_of(row[0]) if row is not None else None

    def waiting(self, key_id: str) -> int:
        return self._count("SELECT count(*) FROM held WHERE key_id = ? AND state = ?", key_id, HeldState.HELD.value)

    def waiting_in(self, account_id: str) -> int:
        counted = "SELECT count(*) FROM held WHERE account_id = ? AND state = ?"
        return self._count(counted, account_id, HeldState.HELD.value)

    def due_held(self, now_ms: int, limit: int) -> list[Held]:
        return [held_rows.held_of(record) for (record,) in self._connection.execute(held_rows.DUE, (now_ms, limit))]

    def session(self, digest: bytes) -> Session | None:
        row = self._one("SELECT * FROM sessions WHERE digest = ?", digest)
        return rows.session_of(row) if row is not None else None

    def sessions(self, key_id: str) -> list[Session]:
        found = self._connection.execute(
            "SELECT * FROM sessions WHERE key_id = ? ORDER BY opened_at_ms, digest", (key_id,)
        )
        return [rows.session_of(row) for row in found]

    def _count(self, statement: str, *parameters: object) -> int:
        row = self._one(statement, *parameters)
        return row[0] if row is not None else 0

    def _one(self, statement: str, *parameters: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._connection.execute(statement, parameters).fetchone()
        return row


class SqlWriter(SqlReader):
    """A write transaction. ``last_event`` is the number of the last event that it added."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.last_event = 0

    def add_account(self, account: Account) -> None:
        if self._one("SELECT 1 FROM accounts WHERE id = ?", account.id) is not None:
            raise ValueError(f"account {account.id} is there already")
        row = (account.id, account.name, account.created_at_ms)
        self._connection.execute("INSERT INTO accounts (id, name, created_at_ms) VALUES (?, ?, ?)", row)

    def add_key(self, key: Key) -> None:
        check_parent(key, self.key)
        if self.key(key.id) is not None or self._is_taken(key.digest):
            raise ValueError(f"the id or digest of key {key.id} is there already")
        if self._one("SELECT 1 FROM accounts WHERE id = ?", key.account_id) is None:
            raise ValueError(f"the account of key {key.id} is not in the store")
        self._connection.execute("INSERT INTO records VALUES (?, ?)", (key.digest, rows.record_of(key)))
        self._connection.execute(sql.ADD_KEY, rows.key_row(key))
        self._put_run(key)

    def replace_key(self, key: Key) -> None:
        old = self.key(key.id)
        if old is None or (old.account_id, old.kind) != (key.account_id, key.kind):
            raise KeyError(key.id)
        if key.digest != old.digest and self._is_taken(key.digest):
            raise ValueError(f"the digest of key {key.id} is another key's")
        if key.parent_id is not None and self.key(key.parent_id) is None:
            raise ValueError(f"the parent of key {key.id} is not in the store")
        record = (key.digest, rows.record_of(key), old.digest)
        self._connection.execute("UPDATE records SET (digest, record) = (?, ?) WHERE digest = ?", record)
        self._connection.execute(sql.REPLACE_KEY, (*rows.key_row(key), key.id))
        self._put_run(key)

    def _put_run(self, key: Key) -> None:
        if key.run is None:
            return
        if key.revoked_at_ms is not None:
            self._connection.execute("DELETE FROM runs WHERE key_id = ?", (key.id,))
        else:
            self._connection.execute(sql.PUT_RUN, (key.id, key.account_id, key.run.devbox_id, key.run.lease_until_ms))

    def put_former(self, former: Former) -> None:
        if self.key(former.key_id) is None:
            raise KeyError(former.key_id)
        self._connection.execute(
            "INSERT INTO former_secrets VALUES (?, ?, ?) ON CONFLICT (digest) DO UPDATE SET record = excluded.record",
            (former.digest, former.key_id, rows.former_record(former)),
        )

    def revoke_derived(self, key_id: str, link_id: str, at_ms: int) -> None:
        self._connection.execute(sql.REVOKE_DERIVED, (key_id, link_id, at_ms))

    def put_leak(self, leak: StoredLeak) -> None:
        if self.key(leak.key_id) is None:
            raise KeyError(leak.key_id)
        self._connection.execute(
            "INSERT INTO leaks VALUES (?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET revoked = excluded.revoked",
            (leak.digest, leak.key_id, leak.at_ms, leak.revoked),
        )

    def record_dead_uses(self, uses: Mapping[str, DeadUses]) -> None:
        self._connection.executemany(
            sql.RECORD_DEAD_USES,
            [(dead.uses, dead.last_at_ms, key_id) for key_id, dead in uses.items()],
        )

    def set_rules(self, account_id: str, rules: bytes) -> None:
        self._connection.execute("UPDATE accounts SET rules = ? WHERE id = ?", (rules.decode(), account_id))

    def add_event(self, event: Event) -> None:
        added = self._connection.execute(
            "INSERT INTO events (kind, at_ms, account_id, key_id, chain, peer, request_id, changes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            rows.event_row(event),
        )
        self.last_event = added.lastrowid or 0

    def add_reply(self, reply: StoredReply) -> None:
        if self.reply(reply.caller_id, reply.request_id) is not None:
            raise ValueError(f"caller {reply.caller_id} has a reply under this request id already")
        self._connection.execute("INSERT INTO replies VALUES (?, ?, ?, ?, ?)", rows.reply_row(reply))

    def drop_replies(self, before_ms: int) -> None:
        self._connection.execute(sql.DROP_REPLIES, (before_ms,))

    def put_held(self, held: Held) -> None:
        if self.key(held.key_id) is None:
            raise ValueError(f"the key {held.key_id} of a held call is not in the store")
        self._connection.execute(held_rows.PUT, held_rows.held_row(held))

    def drop_held(self, held_id: str) -> None:
        self._connection.execute("DELETE FROM held WHERE id = ?", (held_id,))

    def put_session(self, session: Session) -> None:
        if self.key(session.key_id) is None:
            raise ValueError(f"the key {session.key_id} of a session is not in the store")
        self._connection.execute(sql.PUT_SESSION, rows.session_row(session))

    def end_session(self, digest: bytes) -> None:
        self._connection.execute("DELETE FROM sessions WHERE digest = ?", (digest,))

    def drop_sessions(self, now_ms: int) -> None:
        self._connection.execute("DELETE FROM sessions WHERE ends_at_ms <= ?", (now_ms,))

    def record_use(self, used_at_ms: Mapping[str, int]) -> None:
        self._connection.executemany(
            sql.RECORD_USE,
            [(at_ms, key_id) for key_id, at_ms in used_at_ms.items()],
        )

    def _is_taken(self, digest: bytes) -> bool:
        return any(self._one(known, digest) is not None for known in (sql.KEY_BY_DIGEST, sql.FORMER_BY_DIGEST))
