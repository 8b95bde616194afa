"""Values to store. Ids are given by hand, so that a test can say which key is older."""

from __future__ import annotations

import hashlib

from keyscope.authority.ports import Account, KeyQuery, Reader, Store, StoredReply, Writer
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.key import Key, Lineage, State
from keyscope.model.scope import Scope
from keyscope.model.token import Kind

NOW = 1_000_000
ACCOUNT = Account("acct_1", "One", 1)
OTHER = Account("acct_2", "Two", 2)


def digest(word: str) -> bytes:
    return hashlib.sha256(word.encode()).digest()


def a_key(
    key_id: str,
    parent_id: str | None = None,
    *,
    scopes: str = "devboxes:read",
    kind: Kind | None = None,
    account: Account = ACCOUNT,
    name: str = "agent",
    created_at_ms: int = 10,
    expires_at_ms: int | None = None,
    suspended_at_ms: int | None = None,
    revoked_at_ms: int | None = None,
) -> Key:
    """A standard key if it has no parent, a restricted one if it has."""
    kind = kind or (Kind.STANDARD if parent_id is None else Kind.RESTRICTED)
    return Key(
        id=key_id,
        account_id=account.id,
        kind=kind,
        name=name,
        digest=digest(key_id),
        hint="abcd",
        scopes=tuple(map(Scope.parse, scopes.split())) if kind is Kind.RESTRICTED else (),
        created_at_ms=created_at_ms,
        parent_id=parent_id,
        expires_at_ms=expires_at_ms,
        suspended_at_ms=suspended_at_ms,
        revoked_at_ms=revoked_at_ms,
    )


def an_event(kind: EventKind = EventKind.KEY_MINTED, account: Account = ACCOUNT, **changes: object) -> Event:
    origin = Origin(("key_2", "key_1"), "127.0.0.1", "request-1")
    return Event(kind=kind, at_ms=NOW, account_id=account.id, key_id="key_2", origin=origin, changes=changes)


def a_reply(caller_id: str = "key_1", request_id: str = "r1", created_at_ms: int = NOW) -> StoredReply:
    return StoredReply(
        caller_id=caller_id,
        request_id=request_id,
        request_digest=digest("request"),
        sealed=b"\x00sealed\xff",
        created_at_ms=created_at_ms,
    )


def a_query(kind: Kind = Kind.RESTRICTED, *, limit: int = 100, now_ms: int = NOW, **conditions: object) -> KeyQuery:
    return KeyQuery(account_id=ACCOUNT.id, kind=kind, now_ms=now_ms, limit=limit, **conditions)  # type: ignore[arg-type]


def put(store: Store, *keys: Key) -> None:
    """Add keys, and both accounts if there are none."""

    def work(writer: Writer) -> None:
        if not writer.accounts():
            writer.add_account(ACCOUNT)
            writer.add_account(OTHER)
        for key in keys:
            writer.add_key(key)

    store.write(work)


def replace(store: Store, key: Key) -> None:
    """Replace a key and say so in an event, as every use case does."""

    def work(writer: Writer) -> None:
        writer.replace_key(key)
        writer.add_event(an_event(EventKind.KEY_UPDATED))

    store.write(work)


def note(store: Store, *items: Account | Event | StoredReply) -> None:
    """Add accounts, events and replies in one transaction."""

    def work(writer: Writer) -> None:
        for item in items:
            if isinstance(item, Account):
                writer.add_account(item)
            elif isinstance(item, Event):
                writer.add_event(item)
            else:
                writer.add_reply(item)

    store.write(work)


def use(store: Store, used_at_ms: dict[str, int]) -> None:
    store.write(lambda writer: writer.record_use(used_at_ms))


def last_used(store: Store, key_id: str) -> int | None:
    return store.read(lambda reader: reader.last_used_ms(key_id))


def reply_to(store: Store, request_id: str) -> StoredReply | None:
    return store.read(lambda reader: reader.reply("key_1", request_id))


def get(store: Store, key_id: str) -> Key | None:
    return store.read(lambda reader: reader.key(key_id))


def listed(store: Store, **conditions: object) -> list[str]:
    """The ids of the restricted keys of the first account that match."""

    def work(reader: Reader) -> list[str]:
        return [line.key.id for line in reader.keys(a_query(**conditions)).items]  # type: ignore[arg-type]

    return store.read(work)


def found(store: Store, key_id: str) -> Lineage | None:
    """What a fresh index says of the key with this id's sample digest."""
    index = store.open_index()
    try:
        return index.find(digest(key_id))
    finally:
        index.close()


def state(line: Lineage | None) -> State | None:
    return line.state_at(NOW) if line is not None else None
