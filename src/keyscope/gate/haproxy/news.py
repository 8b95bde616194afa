"""What has changed for HAProxy since a number: new keys, and keys about which it has to ask from now on.

A key that changes in any way, and all that descends from it, is asked about: Keyscope judges it as it is now. So what
HAProxy holds of it need never be changed or taken away, and doing the same twice does nothing more.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from keyscope.authority.ports import Reader, StoredEvent
from keyscope.errors import StoreUnavailable
from keyscope.gate.haproxy.bits import Bits
from keyscope.gate.haproxy.entries import is_judged_alone, line, name_of
from keyscope.model.event import EventKind

MOST_ASKED = 10_000
"""Where more keys change at once, HAProxy asks about all, until it has been given new maps."""
_MOST_EVENTS = 1000

_OF_NO_MATTER = frozenset(
    {
        EventKind.ACCOUNT_CREATED,
        EventKind.ACCOUNT_RULES_CHANGED,
        EventKind.KEY_DEAD_USED,
        EventKind.KEY_RENEWED,  # HAProxy asks about every key with a lease
        EventKind.HOLD_CREATED,  # HAProxy asks about every key whose calls are held
        EventKind.HOLD_APPROVED,
        EventKind.HOLD_REFUSED,
        EventKind.HOLD_ENDED,
        EventKind.WEBHOOK_ADDED,
        EventKind.WEBHOOK_REMOVED,
        EventKind.DERIVED_KEY_REVOKED,  # HAProxy asks about every derived key
    }
)


class News(Struct, frozen=True):
    """``keys`` are lines of keys.map, ``asked`` names for ask.map, true up to ``number``.

    ``too_much``: more has changed than is worth telling.
    """

    number: int
    keys: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    too_much: bool = False


def news(reader: Reader, after: int, bits: Bits, now_ms: int) -> News:
    """Everything that was committed, in any account, after a change."""
    events = reader.changes(after=after, limit=_MOST_EVENTS)
    if not events:
        return News(after)
    if len(events) == _MOST_EVENTS or any(_is_about_all(stored) for stored in events):
        return News(reader.last_number(), too_much=True)
    keys, asked = _minted(reader, events, bits, now_ms)
    asked |= _changed(reader, events)
    return News(events[-1].number, tuple(keys), tuple(sorted(asked)), len(asked) > MOST_ASKED)


def _is_about_all(stored: StoredEvent) -> bool:
    """Whether it may matter and names no key: a newer version wrote it, and it may be about any."""
    return stored.event.key_id is None and stored.event.kind not in _OF_NO_MATTER


def _minted(reader: Reader, events: Iterable[StoredEvent], bits: Bits, now_ms: int) -> tuple[list[str], set[str]]:
    keys: list[str] = []
    asked: set[str] = set()
    for key_id in _ids(events, minted=True):
        try:
            lineage = reader.lineage(key_id)
        except StoreUnavailable:  # a newer version wrote it: Keyscope is asked, and refuses to judge it here
            asked.update(map(name_of, reader.digests_below(key_id, 1)))
            continue
        if lineage is None:
            continue
        name = name_of(lineage.key.digest)
        if is_judged_alone(lineage, now_ms):
            keys.append(f"{name} {line(name, lineage, bits)}")
        else:
            asked.add(name)
    return keys, asked


def _changed(reader: Reader, events: Iterable[StoredEvent]) -> set[str]:
    asked: set[str] = set()
    for key_id in _ids(events, minted=False):
        if len(asked) > MOST_ASKED:
            break
        asked.update(map(name_of, reader.digests_below(key_id, MOST_ASKED + 1)))
    return asked


def _ids(events: Iterable[StoredEvent], *, minted: bool) -> list[str]:
    """The keys that the events are about, each once, in their order."""
    told = (stored.event for stored in events if stored.event.kind not in _OF_NO_MATTER)
    ids = (event.key_id for event in told if (event.kind is EventKind.KEY_MINTED) is minted)
    return list(dict.fromkeys(key_id for key_id in ids if key_id is not None))
