"""What the store in memory holds, and reading it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence

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
from keyscope.model.held import Held, HeldState
from keyscope.model.key import Key, Lineage
from keyscope.store.line import lineage
from keyscope.store.query import ascii_lower
from keyscope.store.rows import as_found_by


class Content:
    """Everything that is stored."""

    def __init__(self) -> None:
        self.accounts: dict[str, Account] = {}
        self.keys: dict[str, Key] = {}
        self.ids: dict[bytes, str] = {}
        self.events: list[StoredEvent] = []
        self.replies: dict[tuple[str, str], StoredReply] = {}
        self.used: dict[str, int] = {}
        self.formers: dict[bytes, Former] = {}
        self.revoked_derived: dict[tuple[str, str], int] = {}
        self.dead_uses: dict[str, DeadUses] = {}
        self.rules: dict[str, bytes] = {}
        self.sessions: dict[bytes, Session] = {}
        self.leaks: dict[bytes, StoredLeak] = {}
        self.held: dict[str, Held] = {}


class MemoryReader:
    """A view of the content; the store's lock keeps it still."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def accounts(self) -> list[Account]:
        return sorted(self._content.accounts.values(), key=lambda account: (account.created_at_ms, account.id))

    def key(self, key_id: str) -> Key | None:
        return self._content.keys.get(key_id)

    def lineage(self, key_id: str) -> Lineage | None:
        key = self.key(key_id)
        return lineage(key, self.key) if key is not None else None

    def find(self, digest: bytes) -> Lineage | None:
        key_id = self._content.ids.get(digest)
        if key_id is not None:
            return self.lineage(key_id)
        former = self._content.formers.get(digest)
        key = self.key(former.key_id) if former is not None else None
        return lineage(as_found_by(former, key), self.key) if former is not None and key is not None else None

    def keys(self, query: KeyQuery) -> KeyPage:
        own = (k for k in self._content.keys.values() if k.account_id == query.account_id and k.kind is query.kind)
        lines = (lineage(key, self.key) for key in own)
        found = [line for line in lines if _matches(query, line, self._content.used)]
        found.sort(key=lambda line: line.key.id, reverse=True)
        after = query.starting_after
        rest = [line for line in found if after is None or line.key.id < after]
        return KeyPage(tuple(rest[: query.limit]), len(rest) > query.limit, len(found))

    def descendants(self, key_id: str) -> list[Key]:
        children: dict[str | None, list[Key]] = defaultdict(list)
        for key in self._content.keys.values():
            children[key.parent_id].append(key)
        found: dict[str, Key] = {}
        reached = [key_id]
        while reached:
            new = [key for key in children[reached.pop()] if key.id not in found and key.id != key_id]
            found.update((key.id, key) for key in new)
            reached += [key.id for key in new]
        return sorted(found.values(), key=lambda key: key.id)

    def lineages(self) -> Iterator[Lineage]:
        return (lineage(key, self.key) for key in self._content.keys.values())

    def former_digests(self) -> Iterator[bytes]:
        return iter(self._content.formers)

    def digests_below(self, key_id: str, limit: int) -> list[bytes]:
        key = self.key(key_id)
        mine = {found.id: found.digest for found in [*([key] if key is not None else []), *self.descendants(key_id)]}
        formers = [former.digest for former in self._content.formers.values() if former.key_id in mine]
        return [*mine.values(), *formers][:limit]

    def last_used_ms(self, key_id: str) -> int | None:
        return self._content.used.get(key_id)

    def formers(self, key_id: str) -> list[Former]:
        return [former for former in self._content.formers.values() if former.key_id == key_id]

    def living_children(self, key_id: str, now_ms: int) -> int:
        children = (key for key in self._content.keys.values() if key.parent_id == key_id)
        return sum(key.revoked_at_ms is None and now_ms < key.ends_at_ms for key in children)

    def selected(self, account_id: str, selector: Selector) -> list[Key]:
        own = (key for key in self._content.keys.values() if key.account_id == account_id)
        return sorted((key for key in own if _is_selected(selector, key)), key=lambda key: key.id)

    def idle(self, account_id: str, before_ms: int, limit: int) -> list[Key]:
        own = (key for key in self._content.keys.values() if key.account_id == account_id)
        found = [key for key in own if _is_idle(key, self._content.used.get(key.id, 0), before_ms)]
        return sorted(found, key=lambda key: key.id)[:limit]

    def expiring(self, after_ms: int, until_ms: int, limit: int | None = None) -> list[Key]:
        living = (key for key in self._content.keys.values() if key.revoked_at_ms is None)
        found = [key for key in living if after_ms < (key.expires_at_ms or 0) <= until_ms]
        return sorted(found, key=lambda key: (key.expires_at_ms or 0, key.id))[:limit]

    def bound(self, account_id: str, devbox_id: str) -> list[Key]:
        own = (key for key in self._content.keys.values() if key.account_id == account_id)
        found = [key for key in own if key.run is not None and key.run.devbox_id == devbox_id]
        return sorted((key for key in found if key.revoked_at_ms is None), key=lambda key: key.id)

    def lapsed(self, now_ms: int, limit: int) -> list[Key]:
        leased = [(key.run.lease_until_ms, key) for key in self._content.keys.values() if key.run is not None]
        found = [(until, key.id, key) for until, key in leased if until is not None and until <= now_ms]
        return [key for _, _, key in sorted(found, key=lambda one: one[:2]) if key.revoked_at_ms is None][:limit]

    def dead_uses(self, key_id: str) -> DeadUses | None:
        return self._content.dead_uses.get(key_id)

    def key_counts(self, now_ms: int) -> list[KeyCount]:
        counts = Counter((line.key.kind, line.state_at(now_ms)) for line in self.lineages())
        return [KeyCount(kind, status, keys) for (kind, status), keys in sorted(counts.items())]

    def derived_revoked(self, key_id: str, link_ids: Sequence[str]) -> bool:
        return any((key_id, link_id) in self._content.revoked_derived for link_id in link_ids)

    def leak(self, digest: bytes) -> StoredLeak | None:
        return self._content.leaks.get(digest)

    def leaked_ms(self, key_id: str) -> int | None:
        return max((leak.at_ms for leak in self._content.leaks.values() if leak.key_id == key_id), default=None)

    def rules(self, account_id: str) -> bytes:
        return self._content.rules.get(account_id, b"{}")

    def events(self, account_id: str, *, after: int = 0, limit: int = 100) -> list[StoredEvent]:
        rest = self._content.events[max(after, 0) :]
        return [stored for stored in rest if stored.event.account_id == account_id][:limit]

    def changes(self, *, after: int = 0, limit: int = 1000) -> list[StoredEvent]:
        return self._content.events[max(after, 0) :][:limit]

    def last_number(self) -> int:
        return len(self._content.events)

    def reply(self, caller_id: str, request_id: str) -> StoredReply | None:
        return self._content.replies.get((caller_id, request_id))

    def held_by_id(self, held_id: str) -> Held | None:
        return self._content.held.get(held_id)

    def held(self, query: HeldQuery) -> list[Held]:
        found = [held for held in self._content.held.values() if _is_asked_for(query, held)]
        return sorted(found, key=lambda held: held.id, reverse=True)[: query.limit]

    def same_held(self, key_id: str, links: tuple[str, ...], digest: bytes, request_id: str | None) -> Held | None:
        own = (held for held in self._content.held.values() if (held.key_id, held.links) == (key_id, links))
        same = [held for held in own if held.digest == digest and _is_same(held, request_id)]
        return max(same, key=lambda held: held.id, default=None)

    def waiting(self, key_id: str) -> int:
        return sum(held.key_id == key_id and held.state is HeldState.HELD for held in self._content.held.values())

    def waiting_in(self, account_id: str) -> int:
        own = (held for held in self._content.held.values() if held.account_id == account_id)
        return sum(held.state is HeldState.HELD for held in own)

    def due_held(self, now_ms: int, limit: int) -> list[Held]:
        due = [held for held in self._content.held.values() if held.due_at_ms <= now_ms]
        return sorted(due, key=lambda held: (held.due_at_ms, held.id))[:limit]

    def session(self, digest: bytes) -> Session | None:
        return self._content.sessions.get(digest)

    def sessions(self, key_id: str) -> list[Session]:
        found = (session for session in self._content.sessions.values() if session.key_id == key_id)
        return sorted(found, key=lambda session: (session.opened_at_ms, session.digest))


def _matches(query: KeyQuery, line: Lineage, used: Mapping[str, int]) -> bool:
    key = line.key
    before, unused_since = query.expires_before_ms, query.last_used_before_ms
    return (
        (query.name is None or ascii_lower(query.name) in ascii_lower(key.name))
        and (query.status is None or line.state_at(query.now_ms) is query.status)
        and (query.resource is None or any(s.resource == query.resource and s.level for s in key.scopes))
        and (query.created_by is None or key.parent_id == query.created_by)
        and (before is None or (key.expires_at_ms is not None and key.expires_at_ms < before))
        and (unused_since is None or used.get(key.id, key.created_at_ms) < unused_since)
    )


def _is_same(held: Held, request_id: str | None) -> bool:
    return held.state is HeldState.HELD or (request_id is not None and held.request_id == request_id)


def _is_asked_for(query: HeldQuery, held: Held) -> bool:
    return (
        held.account_id == query.account_id
        and (query.state is None or held.state is query.state)
        and (query.key_id is None or held.key_id == query.key_id)
        and (query.within is None or held.key_id in query.within)
        and (query.starting_after is None or held.id < query.starting_after)
    )


def _is_selected(selector: Selector, key: Key) -> bool:
    return (
        key.revoked_at_ms is None
        and (selector.created_by is None or key.parent_id == selector.created_by)
        and (selector.name_prefix is None or key.name.startswith(selector.name_prefix))
        and not (selector.restricted_only and key.is_standard)
    )


def _is_idle(key: Key, used_at_ms: int, before_ms: int) -> bool:
    stopped = key.is_standard or key.revoked_at_ms is not None or key.suspended_at_ms is not None
    ended = key.expires_at_ms is not None and key.expires_at_ms <= before_ms
    return not (stopped or ended) and max(key.created_at_ms, key.resumed_at_ms or 0, used_at_ms) < before_ms
