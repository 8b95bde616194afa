"""Writing in memory. A write keeps a list of what would undo it, and runs that backwards when it fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

import msgspec

from keyscope.authority.ports import (
    Account,
    DeadUses,
    Former,
    Session,
    StoredEvent,
    StoredLeak,
    StoredReply,
)
from keyscope.model.event import Event
from keyscope.model.held import Held
from keyscope.model.key import Key
from keyscope.store.line import check_parent
from keyscope.store.memory_reader import Content, MemoryReader

K = TypeVar("K")
V = TypeVar("V")


class MemoryWriter(MemoryReader):
    """A write transaction that can be undone."""

    def __init__(self, content: Content) -> None:
        super().__init__(content)
        self._undo: list[Callable[[], object]] = []

    def roll_back(self) -> None:
        while self._undo:
            self._undo.pop()()

    def add_account(self, account: Account) -> None:
        if account.id in self._content.accounts:
            raise ValueError(f"account {account.id} is there already")
        self._set(self._content.accounts, account.id, account)

    def add_key(self, key: Key) -> None:
        check_parent(key, self.key)
        if key.id in self._content.keys or key.digest in self._content.ids or key.digest in self._content.formers:
            raise ValueError(f"the id or digest of key {key.id} is there already")
        if key.account_id not in self._content.accounts:
            raise ValueError(f"the account of key {key.id} is not in the store")
        self._set(self._content.keys, key.id, key)
        self._set(self._content.ids, key.digest, key.id)

    def replace_key(self, key: Key) -> None:
        old = self._content.keys.get(key.id)
        if old is None or (old.account_id, old.kind) != (key.account_id, key.kind):
            raise KeyError(key.id)
        if self._content.ids.get(key.digest, key.id) != key.id or key.digest in self._content.formers:
            raise ValueError(f"the digest of key {key.id} is another key's")
        if key.parent_id is not None and key.parent_id not in self._content.keys:
            raise ValueError(f"the parent of key {key.id} is not in the store")
        self._pop(self._content.ids, old.digest)
        self._set(self._content.ids, key.digest, key.id)
        self._set(self._content.keys, key.id, key)

    def put_former(self, former: Former) -> None:
        if former.key_id not in self._content.keys:
            raise KeyError(former.key_id)
        self._set(self._content.formers, former.digest, former)

    def revoke_derived(self, key_id: str, link_id: str, at_ms: int) -> None:
        if (key_id, link_id) not in self._content.revoked_derived:
            self._set(self._content.revoked_derived, (key_id, link_id), at_ms)

    def put_leak(self, leak: StoredLeak) -> None:
        if leak.key_id not in self._content.keys:
            raise KeyError(leak.key_id)
        first = self._content.leaks.get(leak.digest, leak)
        self._set(self._content.leaks, leak.digest, msgspec.structs.replace(first, revoked=leak.revoked))

    def record_dead_uses(self, uses: Mapping[str, DeadUses]) -> None:
        for key_id, new in uses.items():
            if key_id in self._content.keys:
                old = self._content.dead_uses.get(key_id, DeadUses(0, 0))
                total = DeadUses(old.uses + new.uses, max(old.last_at_ms, new.last_at_ms))
                self._set(self._content.dead_uses, key_id, total)

    def set_rules(self, account_id: str, rules: bytes) -> None:
        self._set(self._content.rules, account_id, rules)

    def add_event(self, event: Event) -> None:
        # Through JSON, as on a disk: what the caller does to its dict afterwards changes nothing here.
        changes = msgspec.json.decode(msgspec.json.encode(event.changes), type=dict[str, object])
        event = msgspec.structs.replace(event, changes=changes)
        self._content.events.append(StoredEvent(len(self._content.events) + 1, event))
        self._undo.append(self._content.events.pop)

    def add_reply(self, reply: StoredReply) -> None:
        place = (reply.caller_id, reply.request_id)
        if place in self._content.replies:
            raise ValueError(f"caller {reply.caller_id} has a reply under this request id already")
        self._set(self._content.replies, place, reply)

    def drop_replies(self, before_ms: int) -> None:
        for place in [place for place, reply in self._content.replies.items() if reply.created_at_ms < before_ms]:
            self._pop(self._content.replies, place)

    def put_held(self, held: Held) -> None:
        if held.key_id not in self._content.keys:
            raise ValueError(f"the key {held.key_id} of a held call is not in the store")
        self._set(self._content.held, held.id, held)

    def drop_held(self, held_id: str) -> None:
        if held_id in self._content.held:
            self._pop(self._content.held, held_id)

    def put_session(self, session: Session) -> None:
        if session.key_id not in self._content.keys:
            raise ValueError(f"the key {session.key_id} of a session is not in the store")
        self._set(self._content.sessions, session.digest, session)

    def end_session(self, digest: bytes) -> None:
        if digest in self._content.sessions:
            self._pop(self._content.sessions, digest)

    def drop_sessions(self, now_ms: int) -> None:
        ended = [session.digest for session in self._content.sessions.values() if session.ends_at_ms <= now_ms]
        for digest in ended:
            self._pop(self._content.sessions, digest)

    def record_use(self, used_at_ms: Mapping[str, int]) -> None:
        for key_id, at_ms in used_at_ms.items():
            if key_id in self._content.keys:
                self._set(self._content.used, key_id, max(at_ms, self._content.used.get(key_id, at_ms)))

    def _set(self, table: dict[K, V], place: K, value: V) -> None:
        if place in table:
            self._undo.append(lambda old=table[place]: table.__setitem__(place, old))  # type: ignore[misc]
        else:
            self._undo.append(lambda: table.__delitem__(place))
        table[place] = value

    def _pop(self, table: dict[K, V], place: K) -> None:
        old = table.pop(place)
        self._undo.append(lambda: table.__setitem__(place, old))
