"""What a use case may change inside one transaction, in PostgreSQL's own way.

Nobody else writes meanwhile (the row of numbers is locked), so what was read once stays true, and is not asked for
again. What a mint adds waits in Gathered, and what it takes for granted in Supposed.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from keyscope.authority.ports import Former, StoredReply
from keyscope.model.event import Event
from keyscope.model.key import Key, Lineage
from keyscope.store import query as sql
from keyscope.store import rows
from keyscope.store.line import check_parent, lineage
from keyscope.store.postgres import query as pg
from keyscope.store.postgres.gathered import Gathered
from keyscope.store.postgres.session import PostgresReader, line_of
from keyscope.store.postgres.supposed import NotNew
from keyscope.store.session import SqlWriter


class Numbers(NamedTuple):
    """The last ones given."""

    change: int
    event: int


class PostgresWriter(PostgresReader, SqlWriter):
    """A write transaction, for several pieces of work one after the other.

    ``change`` is the number of the last change: of the present piece of work, if it has touched keys. One that supposes
    may raise NotNew at any time; all of its work is then to be run again by one that does not.
    """

    _connection: Gathered
    _dropped_ms: int
    _oldest_ms: int

    def __init__(self, connection: Gathered, last: Numbers, *, supposes: bool) -> None:
        super().__init__(connection)
        self._supposes = supposes
        self.last_event = last.event
        self._first_change = self._last_change = last.change
        self._event_before = last.event
        self._epoch = ""
        self._touched: dict[str, None] = {}
        self._made: list[tuple[int, str]] = []
        self._forget()

    @property
    def change(self) -> int:
        return self._last_change + bool(self._touched)

    def epoch(self) -> str:
        """Which life of which database this is."""
        if not self._epoch:
            row = self._connection.ask(pg.PLACE)
            self._epoch = str(row[0]) if row is not None else ""
        return self._epoch

    def key(self, key_id: str) -> Key | None:
        if key_id not in self._keys:
            row = self._connection.ask(sql.KEY_BY_ID, key_id)
            if row is None:
                return None
            self._keys[key_id] = rows.key_of(row[0])
        return self._keys[key_id]

    def lineage(self, key_id: str) -> Lineage | None:
        if key_id not in self._keys:
            found = line_of(self._connection.asked(pg.LINE, key_id))
            if found is not None:
                self._keys |= {key.id: key for key in found.line}
            return found
        return lineage(self._keys[key_id], self.key)

    def rules(self, account_id: str) -> bytes:
        return self._rules_of(account_id) or b"{}"

    def _rules_of(self, account_id: str) -> bytes | None:
        """None for an account that is not there."""
        if account_id not in self._rules:
            row = self._connection.ask(sql.RULES, account_id)
            if row is None:
                return None
            self._rules[account_id] = row[0].encode()
        return self._rules[account_id]

    def reply(self, caller_id: str, request_id: str) -> StoredReply | None:
        name = (caller_id, request_id)
        if name not in self._replies:
            self._replies[name] = self._first_reply(*name)
        found = self._replies[name]
        return found if found is not None and found.created_at_ms >= self._dropped_ms else None

    def _first_reply(self, caller_id: str, request_id: str) -> StoredReply | None:
        if self._supposes:
            self._connection.supposed.new_request(caller_id, request_id)
            return None
        row = self._connection.ask(sql.REPLY, caller_id, request_id)
        return rows.reply_of(row) if row is not None else None

    def last_number(self) -> int:
        return self.last_event

    def add_key(self, key: Key) -> None:
        check_parent(key, self.key)
        if not self._is_new(key):
            raise ValueError(f"the id or digest of key {key.id} is there already")
        if self._rules_of(key.account_id) is None:
            raise ValueError(f"the account of key {key.id} is not in the store")
        self._connection.pending.add_key(key)
        self._put_run(key)
        self._digests.add(key.digest)
        self._keep(key)

    def _is_new(self, key: Key) -> bool:
        if key.id in self._keys or key.digest in self._digests:
            return False
        self._connection.supposed.new_key(key)
        return self._supposes or self._connection.holds()

    def replace_key(self, key: Key) -> None:
        super().replace_key(key)
        self._keep(key)

    def put_former(self, former: Former) -> None:
        super().put_former(former)
        self._touched[former.key_id] = None

    def revoke_derived(self, key_id: str, link_id: str, at_ms: int) -> None:
        super().revoke_derived(key_id, link_id, at_ms)
        self._touched[key_id] = None

    def set_rules(self, account_id: str, rules: bytes) -> None:
        super().set_rules(account_id, rules)
        self._rules.clear()

    def add_event(self, event: Event) -> None:
        self.last_event += 1
        self._connection.pending.add_event(self.last_event, event)

    def add_reply(self, reply: StoredReply) -> None:
        if self.reply(reply.caller_id, reply.request_id) is not None:
            raise ValueError(f"caller {reply.caller_id} has a reply under this request id already")
        self._connection.pending.add_reply(reply)
        self._replies[reply.caller_id, reply.request_id] = reply
        self._oldest_ms = min(self._oldest_ms, reply.created_at_ms)

    def drop_replies(self, before_ms: int) -> None:
        if before_ms > self._oldest_ms:  # one that waits is to go too, and not to come after
            super().drop_replies(before_ms)
        else:
            self._connection.pending.drop_replies(before_ms)
        self._dropped_ms = max(self._dropped_ms, before_ms)

    def begin(self) -> None:
        """A piece of work begins."""
        self._event_before = self.last_event
        self._connection.begin()

    def settle(self) -> None:
        """It is done: what it touched becomes one change."""
        self._connection.keep()
        if self._touched:
            self._made.append((self.change, " ".join(self._touched)))
            self._last_change = self.change
            self._touched = {}

    def undo(self) -> None:
        """It failed: forget what it touched, and what was read of it."""
        self.last_event = self._event_before
        self._touched = {}
        self._connection.undo()
        # What is known of the work before goes with the rest, so it must be in the database for who asks again.
        self._connection.send()
        self._forget()

    def finish(self) -> Numbers:
        """Write down what waits and the numbers that were given, and wake who follows."""
        last = Numbers(self._last_change, self.last_event)
        self._connection.begin()
        if not self._connection.holds():
            raise NotNew
        self._connection.send()
        if self._made:
            numbers, ids = zip(*self._made, strict=True)
            self._connection.tell(pg.ADD_CHANGES, (list(numbers), list(ids)))
            self._connection.tell(pg.NOTIFY, (str(last.change),))
            if last.change // pg.DROP_EVERY > self._first_change // pg.DROP_EVERY:
                self._connection.tell(pg.DROP_CHANGES, (last.change - pg.KEPT_CHANGES,))
        if self._connection.wrote:
            self._connection.tell(pg.KEEP_NUMBERS, last)
        return last

    def _keep(self, key: Key) -> None:
        self._keys[key.id] = key
        self._touched[key.id] = None

    def _forget(self) -> None:
        self._keys: dict[str, Key] = {}
        self._digests: set[bytes] = set()
        self._rules: dict[str, bytes] = {}
        self._replies: dict[tuple[str, str], StoredReply | None] = {}
        self._dropped_ms = 0
        self._oldest_ms = sys.maxsize
