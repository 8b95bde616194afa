"""What is to be told: made of the changes of the database, of first uses, and of expiries, each once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime

from keyscope.authority.ports import Clock, Reader, Store, StoredEvent
from keyscope.authority.webhooks import EXPIRED, EXPIRING, FIRST_USED, OF_EVENTS, Marks, Message, Outbox
from keyscope.model.event import EventKind
from keyscope.model.key import Key
from keyscope.wire.codec import encode

PAGE = 500
SLACK_MS = 1000
"""An expiry is told so long after it: a key that is being minted with hardly any life must not be overlooked."""

_HELD = ("hold_id", "operation", "method", "path", "digest", "deadline_ms", "runs_at_ms", "state", "status", "reason")
_CHANGES = {
    EventKind.KEY_REVOKED: ("reason",),
    EventKind.KEY_DEAD_USED: ("secret", "uses"),
    EventKind.HOLD_CREATED: _HELD,
    EventKind.HOLD_APPROVED: _HELD,
    EventKind.HOLD_REFUSED: _HELD,
    EventKind.HOLD_ENDED: _HELD,
}
"""What of an event is told."""


class Making:
    """Makes messages for one outbox. ``expiring_ms`` is how long before its end a key is about to expire."""

    def __init__(self, store: Store, outbox: Outbox, clock: Clock, expiring_ms: int) -> None:
        self._store = store
        self._outbox = outbox
        self._now_ms = clock.now_ms
        self._expiring_ms = expiring_ms

    def once(self) -> bool:
        """Make what is new into messages. Returns whether there may be more. Raises StoreUnavailable."""
        now_ms = self._now_ms()
        marks = self._outbox.marks()
        if marks is None or not self._outbox.endpoints():
            self._outbox.put([], self._store.read(lambda reader: self._start(reader, now_ms)), [], now_ms)
            return False
        used = self._outbox.first_uses()
        messages, until = self._store.read(lambda reader: self._new(reader, marks, used, now_ms))
        if until == marks and not messages and not used:
            return False
        self._outbox.put(messages, until, list(used), now_ms)
        return until.event - marks.event >= PAGE

    def _start(self, reader: Reader, now_ms: int) -> Marks:
        return Marks(reader.last_number(), now_ms - SLACK_MS, now_ms + self._expiring_ms)

    def _new(self, reader: Reader, marks: Marks, used: Mapping[str, int], now_ms: int) -> tuple[list[Message], Marks]:
        events = reader.changes(after=marks.event, limit=PAGE)
        expired, expired_ms = _ending(reader, marks.expired_ms, now_ms - SLACK_MS)
        expiring, expiring_ms = _ending(reader, max(marks.expiring_ms, now_ms), now_ms + self._expiring_ms)
        messages = [
            *_of_events(reader, events),
            *_of_uses(reader, used),
            *(_of_end(EXPIRED, key, key.expires_at_ms or 0) for key in expired),
            *(_of_end(EXPIRING, key, now_ms) for key in expiring),
        ]
        if not (expired or expiring or events):
            # Nothing but time has passed: that is written down seldom.
            seldom = expired_ms - marks.expired_ms < 60_000
            expired_ms, expiring_ms = (marks.expired_ms, marks.expiring_ms) if seldom else (expired_ms, expiring_ms)
        return messages, Marks(events[-1].number if events else marks.event, expired_ms, expiring_ms)


def _ending(reader: Reader, after_ms: int, until_ms: int) -> tuple[list[Key], int]:
    """The keys that end in a time, or in the beginning of it if they are many; and until when these are all."""
    found = reader.expiring(after_ms, until_ms, PAGE)
    if len(found) < PAGE:
        return found, max(after_ms, until_ms)
    last_ms = found[-1].expires_at_ms or 0
    return reader.expiring(after_ms, last_ms), last_ms  # with all that end in the same millisecond


def _of_events(reader: Reader, events: list[StoredEvent]) -> Iterator[Message]:
    for stored in events:
        event = stored.event
        key = reader.key(event.key_id) if event.kind in OF_EVENTS and event.key_id is not None else None
        if key is not None:
            told = {name: event.changes[name] for name in _CHANGES.get(event.kind, ()) if name in event.changes}
            yield _message(f"event {stored.number}", OF_EVENTS[event.kind], key, event.at_ms, told)


def _of_uses(reader: Reader, used: Mapping[str, int]) -> Iterator[Message]:
    for key_id, at_ms in used.items():
        key = reader.key(key_id)
        if key is not None:
            yield _message(f"first use {key_id}", FIRST_USED, key, at_ms, {})


def _of_end(kind: str, key: Key, at_ms: int) -> Message:
    return _message(f"{kind} {key.id} {key.expires_at_ms}", kind, key, at_ms, {})


def _message(source: str, kind: str, key: Key, at_ms: int, more: Mapping[str, object]) -> Message:
    """A message in the form of Standard Webhooks: type, timestamp, data. Nothing of it is secret."""
    data = {
        "key_id": key.id,
        "key_kind": key.kind.name.lower(),
        "key_name": key.name,
        "account_id": key.account_id,
        "parent_id": key.parent_id,
        "expires_at_ms": key.expires_at_ms,
        "at_ms": at_ms,
        **more,
    }
    stamp = datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    body = encode({"type": kind, "timestamp": stamp, "data": data})
    return Message(source=source, account_id=key.account_id, kind=kind, at_ms=at_ms, body=body)
