"""Rows to values and back.

A key is one record: all its fields in MessagePack, then their CRC-32, checked at every read. A damaged disk must not
turn a revoked key into an active one or push out an expiry. It guards against accidents, not against somebody who can
write to the file. (One column instead of thirteen also spares the gate 2 µs a look-up.)
Reading never widens: a scope's level that this version does not know counts as NONE.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from zlib import crc32

import msgspec
from msgspec.structs import replace

from keyscope.authority.ports import Account, Former, Session, StoredEvent, StoredReply
from keyscope.errors import StoreUnavailable
from keyscope.model.event import Event, EventKind, Origin
from keyscope.model.key import Key
from keyscope.model.restrictions import Restrictions
from keyscope.model.run import Run
from keyscope.model.scope import Level, Scope
from keyscope.model.token import Kind

Row = tuple[Any, ...]

_KINDS: dict[str, Kind] = {kind.value: kind for kind in Kind}
_LEVELS = {level.word: level for level in Level}
_CHECKSUM_BYTES = 4
_LENGTHS = (13, 16, 20, 21, 22)
"""How many fields records have had: in the first schema, before keys could be rotated or derived from, in the second,
before they could be observed or narrowed, in the third, before they could be restricted, then before they could be
bound to runs, and now. What is not there is None. A record is written as short as it can be, so that the version before
reads all keys that have nothing new. One that is longer was written by a newer version, and nobody here may judge or
change that key.
"""
_FORMER_FIELDS = 4
_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def key_row(key: Key) -> Row:
    """The columns of ``keys``."""
    scopes = " ".join(map(str, key.scopes))
    what = (key.id, key.digest, key.account_id, key.kind.value, key.parent_id, key.name, scopes)
    times = (key.created_at_ms, key.expires_at_ms, key.suspended_at_ms, key.revoked_at_ms, key.resumed_at_ms)
    return (*what, *times)


def record_of(key: Key) -> bytes:
    """The whole key, and its checksum."""
    scopes = " ".join(map(str, key.scopes))
    what = (key.digest, key.id, key.account_id, key.kind.value, key.parent_id, key.name, key.hint, scopes)
    times = (key.created_at_ms, key.expires_at_ms, key.suspended_at_ms, key.revoked_at_ms)
    since_second = (key.revoked_reason, key.share, key.rotated_at_ms, key.resumed_at_ms)
    since_third = (key.observe_until_ms, _words(key.observe_within), key.narrowed_at_ms, _words(key.narrowed_from))
    since_fourth = (key.restrictions.text if key.restrictions is not None else None, _of_run(key.run))
    return _sealed(_shortened((*what, *times, *since_second, *since_third, *since_fourth)))


def _shortened(fields: tuple[object, ...]) -> tuple[object, ...]:
    """Without what is None at the end, as far as there were such records."""
    used = max(number for number, field in enumerate(fields, start=1) if field is not None)
    return fields[: next(length for length in _LENGTHS if length >= used)]


def _of_run(run: Run | None) -> tuple[object, ...] | None:
    return (run.devbox_id, run.lease_ms, run.lease_until_ms) if run is not None else None


def _run_of(fields: list[Any] | None) -> Run | None:
    if fields is None:
        return None
    devbox_id, lease_ms, lease_until_ms = fields
    return Run(devbox_id=devbox_id, lease_ms=lease_ms, lease_until_ms=lease_until_ms)


def _words(scopes: tuple[Scope, ...] | None) -> str | None:
    return " ".join(map(str, scopes)) if scopes is not None else None


def key_of(record: bytes) -> Key:
    """The key. Raises StoreUnavailable if the record is damaged, or says what this version does not know."""
    fields = _opened(record)
    if len(fields) not in _LENGTHS:
        raise StoreUnavailable(f"the record of key {fields[1]} has {len(fields)} fields: a newer version wrote it")
    fields += [None] * (_LENGTHS[-1] - len(fields))
    digest, key_id, account, kind, parent, name, hint, scopes, *rest = fields
    created, expires, suspended, revoked, reason, share, rotated, resumed, *more = rest
    observed, within, narrowed, former, restrictions, run = more
    if kind not in _KINDS:
        raise StoreUnavailable(f"key {key_id} is of the kind {kind!r}, which this version does not know")
    return Key(
        id=key_id,
        account_id=account,
        kind=_KINDS[kind],
        name=name,
        digest=digest,
        hint=hint,
        scopes=scopes_of(scopes),
        created_at_ms=created,
        parent_id=parent,
        expires_at_ms=expires,
        suspended_at_ms=suspended,
        revoked_at_ms=revoked,
        revoked_reason=reason,
        share=share,
        rotated_at_ms=rotated,
        resumed_at_ms=resumed,
        observe_until_ms=observed,
        observe_within=scopes_of(within) if within is not None else None,
        narrowed_at_ms=narrowed,
        narrowed_from=scopes_of(former) if former is not None else None,
        restrictions=_restrictions(key_id, restrictions),
        run=_run_of(run),
    )


def key_or_stopped(record: bytes) -> Key:
    """The key. One that says what this version does not know stands there as suspended: it may not be judged here.

    Raises StoreUnavailable if the record is damaged.
    """
    try:
        return key_of(record)
    except StoreUnavailable:
        digest, key_id, account, kind, parent, name, hint, *_ = _opened(record)
        return Key(
            id=key_id,
            account_id=account,
            kind=_KINDS.get(kind, Kind.RESTRICTED),
            name=name,
            digest=digest,
            hint=hint,
            scopes=(),
            created_at_ms=0,
            parent_id=parent,
            suspended_at_ms=0,
        )


def _restrictions(key_id: str, text: str | None) -> Restrictions | None:
    """What a key is restricted to. One that this version does not know is refused, never left out (law 1)."""
    try:
        return Restrictions.from_text(text) if text is not None else None
    except ValueError as error:
        message = f"key {key_id} has restrictions that this version does not know: {error}"
        raise StoreUnavailable(message) from error


def former_record(former: Former) -> bytes:
    """The whole of it, and its checksum."""
    return _sealed((former.digest, former.key_id, former.share, former.until_ms))


def former_of(record: bytes) -> Former:
    """Raises StoreUnavailable if the record is damaged, or says more than this version knows."""
    fields = _opened(record)
    if len(fields) != _FORMER_FIELDS:
        raise StoreUnavailable("the record of an earlier secret was written by a newer version")
    return Former(*fields)


def as_found_by(former: Former, key: Key) -> Key:
    """The key as one of its earlier secrets shows it."""
    return replace(key, digest=former.digest, share=former.share, superseded_at_ms=former.until_ms)


def _sealed(fields: tuple[object, ...]) -> bytes:
    packed = _pack(fields)
    return packed + crc32(packed).to_bytes(_CHECKSUM_BYTES)


def _opened(record: bytes) -> list[Any]:
    packed = record[:-_CHECKSUM_BYTES]
    if crc32(packed) != int.from_bytes(record[-_CHECKSUM_BYTES:]):
        raise StoreUnavailable("the record of a key is damaged: its checksum does not fit")
    fields: list[Any] = _unpack(packed)
    return fields


@lru_cache(maxsize=4096)
def scopes_of(text: str) -> tuple[Scope, ...]:
    """The scopes of a row. Cached, because a million keys share a few sets of scopes."""
    return tuple(scope for word in text.split() if (scope := _scope_of(word)) is not None)


def _scope_of(word: str) -> Scope | None:
    resource, _, level = word.partition(":")
    try:
        return Scope(resource, _LEVELS.get(level, Level.NONE))
    except ValueError:
        # Not a resource type to this version, so nothing can ask for it: to leave it out is to give NONE.
        return None


def event_row(event: Event) -> Row:
    """The columns of ``events`` but the number."""
    origin = event.origin
    chain = " ".join(origin.chain)
    changes = msgspec.json.encode(event.changes)
    who = (event.account_id, event.key_id, chain, origin.peer, origin.request_id)
    return (event.kind.value, event.at_ms, *who, changes)


def event_of(row: Row) -> StoredEvent:
    """The event of a row, number first."""
    number, kind, at_ms, account_id, key_id, chain, peer, request_id, changes = row
    try:
        event = Event(
            kind=EventKind.known_or_newer(kind),
            at_ms=at_ms,
            account_id=account_id,
            key_id=key_id,
            origin=Origin(tuple(chain.split()), peer, request_id),
            changes=msgspec.json.decode(changes, type=dict[str, object]),
        )
    except (ValueError, msgspec.DecodeError) as error:
        raise StoreUnavailable(f"event {number} cannot be read: {error}") from error
    return StoredEvent(number, event)


def reply_row(reply: StoredReply) -> Row:
    return (reply.caller_id, reply.request_id, reply.request_digest, reply.sealed, reply.created_at_ms)


def reply_of(row: Row) -> StoredReply:
    caller_id, request_id, request_digest, sealed, created_at_ms = row
    return StoredReply(
        caller_id=caller_id,
        request_id=request_id,
        request_digest=request_digest,
        sealed=sealed,
        created_at_ms=created_at_ms,
    )


def session_row(session: Session) -> Row:
    what = (session.digest, session.key_id, session.key_digest, session.csrf)
    return (*what, session.opened_at_ms, session.seen_at_ms, session.ends_at_ms)


def session_of(row: Row) -> Session:
    digest, key_id, key_digest, csrf, opened, seen, ends = row
    return Session(
        digest=digest,
        key_id=key_id,
        key_digest=key_digest,
        csrf=csrf,
        opened_at_ms=opened,
        seen_at_ms=seen,
        ends_at_ms=ends,
    )


def account_of(row: Row) -> Account:
    return Account(*row)
