"""What a gate reads that keeps a copy of the keys: the keys, which of them were touched, and for how long that is good.

The keys are those of a store on this host, or of the replica of a node. To be a copy of them is to be true up to a
point, and to judge by it no longer than a leave that was asked for before the keys were read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from msgspec import Struct

from keyscope.authority.ports import Reader, Store, StoredEvent
from keyscope.model.event import EventKind
from keyscope.model.key import Lineage

T = TypeVar("T")

MOST_TOUCHED = 1000
"""Where more was touched at once, it is not listed."""

_OF_NO_MATTER = frozenset(
    {
        EventKind.ACCOUNT_CREATED,
        EventKind.ACCOUNT_RULES_CHANGED,
        EventKind.KEY_DEAD_USED,
        EventKind.KEY_RENEWED,  # who copies asks about every key with a lease
        EventKind.HOLD_CREATED,  # and about every key whose calls are held
        EventKind.HOLD_APPROVED,
        EventKind.HOLD_REFUSED,
        EventKind.HOLD_ENDED,
        EventKind.WEBHOOK_ADDED,
        EventKind.WEBHOOK_REMOVED,
        EventKind.DERIVED_KEY_REVOKED,  # and about every derived key
    }
)


class Point(Struct, frozen=True):
    """Up to where a copy is true: a number in a sequence. Numbers of two sequences are never compared.

    ``sequence`` names it; it is empty for a store on this host, which has but one.
    """

    sequence: str
    number: int


class Touched(Struct, frozen=True):
    """The ids of keys that were made and changed after a point, up to ``point``.

    ``too_much``: that is more than is worth listing, or nobody can say it; then the copy is to be made anew.
    """

    point: Point
    made: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    too_much: bool = False


class KeyReader(Protocol):
    """A consistent view of the keys. The methods that ``Reader`` has, too, are the same."""

    def point(self) -> Point: ...

    def touched(self, after: Point) -> Touched: ...

    def lineage(self, key_id: str) -> Lineage | None: ...

    def lineages(self) -> Iterator[Lineage]: ...

    def former_digests(self) -> Iterator[bytes]: ...

    def digests_below(self, key_id: str, limit: int) -> list[bytes]: ...


class Keys(Protocol):
    """Where keys are copied from. ``longest_ms``: no leave is longer."""

    longest_ms: int

    def leave_ms(self) -> int:
        """For how long a copy may be judged by whose keys are read *after* this call; 0 or less: not at all."""

    def read(self, work: Callable[[KeyReader], T]) -> T: ...


class StoreKeys:
    """The keys of a store on this host. Whoever changes one waits for the copies, so each leave is as long as any."""

    def __init__(self, store: Store, longest_ms: int) -> None:
        self._store = store
        self.longest_ms = longest_ms

    def leave_ms(self) -> int:
        return self.longest_ms

    def read(self, work: Callable[[KeyReader], T]) -> T:
        return self._store.read(lambda reader: work(_StoreReader(reader)))


class _StoreReader:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.lineage = reader.lineage
        self.lineages = reader.lineages
        self.former_digests = reader.former_digests
        self.digests_below = reader.digests_below

    def point(self) -> Point:
        return Point("", self._reader.last_number())

    def touched(self, after: Point) -> Touched:
        if after.sequence:
            return Touched(self.point(), too_much=True)
        events = self._reader.changes(after=after.number, limit=MOST_TOUCHED)
        if len(events) == MOST_TOUCHED or any(_is_about_all(stored) for stored in events):
            return Touched(self.point(), too_much=True)
        last = Point("", events[-1].number) if events else after
        return Touched(last, _ids(events, made=True), _ids(events, made=False))


def _is_about_all(stored: StoredEvent) -> bool:
    """Whether it may matter and names no key: a newer version wrote it, and it may be about any."""
    return stored.event.key_id is None and stored.event.kind not in _OF_NO_MATTER


def _ids(events: Iterable[StoredEvent], *, made: bool) -> tuple[str, ...]:
    """The keys that the events are about, each once, in their order."""
    told = (stored.event for stored in events if stored.event.kind not in _OF_NO_MATTER)
    ids = (event.key_id for event in told if (event.kind is EventKind.KEY_MINTED) is made)
    return tuple(dict.fromkeys(key_id for key_id in ids if key_id is not None))
