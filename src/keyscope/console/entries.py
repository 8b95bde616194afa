"""Entries of the audit trail as people read them, and which of them a visitor may see: what the API would show it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from keyscope.authority.ports import Reader, Store
from keyscope.authority.trail import DENIED, OBSERVED, Entry, EntryQuery, Trail
from keyscope.console.kit import AUDIT, USAGE
from keyscope.console.visitor import Visitor
from keyscope.console.words import moment
from keyscope.model.event import EventKind
from keyscope.model.key import Key
from keyscope.model.objection import Reason

WORDS: Mapping[str, str] = {
    EventKind.ACCOUNT_CREATED: "account made",
    EventKind.KEY_MINTED: "minted",
    EventKind.KEY_UPDATED: "changed",
    EventKind.KEY_REVOKED: "revoked",
    EventKind.KEY_ROTATED: "rotated",
    EventKind.KEY_SUSPENDED: "suspended",
    EventKind.KEY_RESUMED: "resumed",
    EventKind.KEY_UNDELETED: "brought back",
    EventKind.KEY_RENEWED: "lease renewed",
    EventKind.KEY_DEAD_USED: "dead secret used",
    EventKind.DERIVED_KEY_REVOKED: "derived key revoked",
    EventKind.ACCOUNT_RULES_CHANGED: "rules changed",
    EventKind.KEY_LEAK_REPORTED: "leak reported",
    EventKind.HOLD_CREATED: "call held",
    EventKind.HOLD_APPROVED: "held call approved",
    EventKind.HOLD_REFUSED: "held call refused",
    EventKind.HOLD_ENDED: "held call ended",
    EventKind.WEBHOOK_ADDED: "webhook added",
    EventKind.WEBHOOK_REMOVED: "webhook removed",
    DENIED: "refused",
    OBSERVED: "would be refused",
}
"""By the kind of entry; a kind that is not here is shown as it is."""


_GRAVE = frozenset({EventKind.KEY_DEAD_USED, EventKind.KEY_LEAK_REPORTED})
_SHOWN_ELSEWHERE = frozenset({"kind", "name", "parent_id"})


class Line(Struct, frozen=True):
    """One entry. ``about`` and ``by`` are keys, where they are known; ``changes`` are words."""

    entry: Entry
    word: str
    about: Key | None
    by: Key | None
    changes: tuple[str, ...]

    @property
    def is_refusal(self) -> bool:
        return self.entry.kind in (DENIED, OBSERVED)

    @property
    def is_of_narrowing(self) -> bool:
        """Whether the key could do this before it was narrowed."""
        return Reason.NARROWED.value in self.entry.reasons

    @property
    def is_grave(self) -> bool:
        """What asks for somebody's attention."""
        return self.entry.kind in _GRAVE or self.is_refusal


def trail_of(visitor: Visitor, call: str = AUDIT) -> Trail | None:
    """The trail, if there is one and the visitor's key covers the call of the API that shows it."""
    return visitor.desk.trail if visitor.may("GET", call) else None


def uses_of(visitor: Visitor) -> Trail | None:
    """The same for counts of allowed calls."""
    return trail_of(visitor, USAGE)


def visible(store: Store, visitor: Visitor) -> tuple[str, ...] | None:
    """The keys whose entries the visitor sees: a standard key all (None), a restricted one its tree."""
    if visitor.key.is_standard:
        return None
    below = store.read(lambda reader: reader.descendants(visitor.key.id))
    return (visitor.key.id, *(key.id for key in below))


def lines(store: Store, trail: Trail, query: EntryQuery) -> tuple[tuple[Line, ...], bool]:
    """The entries asked for, newest first, and whether there are more."""
    page = trail.entries(query)
    keys = store.read(lambda reader: _keys(reader, page.items))
    return tuple(_line(entry, keys) for entry in page.items), page.has_more


def _keys(reader: Reader, entries: Iterable[Entry]) -> dict[str, Key]:
    ids = {key_id for entry in entries for key_id in (entry.key_id, *entry.chain[:1]) if key_id is not None}
    return {key_id: key for key_id in ids if (key := reader.key(key_id)) is not None}


def _line(entry: Entry, keys: Mapping[str, Key]) -> Line:
    by = keys.get(entry.chain[0]) if entry.chain else None
    about = keys.get(entry.key_id) if entry.key_id is not None else None
    return Line(entry, WORDS.get(entry.kind, entry.kind), about, by, tuple(_changes(entry.changes)))


def _changes(changes: Mapping[str, object]) -> Iterator[str]:
    """What was changed, in words: ``scopes: devboxes:write → devboxes:read``."""
    for name, value in changes.items():
        if isinstance(value, dict) and set(value) == {"from", "to"}:
            yield f"{_plain(name)}: {_said(name, value['from'])} → {_said(name, value['to'])}"
        elif value not in (None, [], 0) and name not in _SHOWN_ELSEWHERE:
            yield f"{_plain(name)}: {_said(name, value)}"


def _plain(name: str) -> str:
    return "ends" if name == "expires_at_ms" else name.removesuffix("_ms").replace("_", " ")


def _said(name: str, value: object) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value)) or "nothing"
    if name.endswith("_ms") and isinstance(value, int):
        return moment(value)
    return "none" if value is None else str(value)
