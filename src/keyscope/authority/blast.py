"""The blast radius of a key: what it could do, did, minted and was handed, for the one who has to clean up.

What it could do is what the policy's table lets its whole line do, conditions on bodies left aside. What it did is what
the audit trail counted, of it and of the keys below it. What it was handed is what the replies to those calls may have
held: the gate does not read replies, so an allowed call counts, whatever the API answered.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec import Struct

from keyscope.authority.lookup import Detail
from keyscope.authority.ports import Store
from keyscope.authority.trail import EntryQuery, Trail, UseCount, UseQuery, Verdict
from keyscope.authority.tree import Node, tree
from keyscope.model.key import Lineage, State
from keyscope.model.operation import TIE, Operation, Table
from keyscope.model.scope import Level, Scope
from keyscope.model.token import Kind
from keyscope.policy.handed import CredentialKind, kind_of

HOUR_MS = 3_600_000
MOST_BELOW = 5000
"""Keys below it whose calls are counted, the oldest first."""
MOST_DENIALS = 1000


class Did(Struct, frozen=True):
    """Allowed calls of one route: an operation, several in a true tie, or none for what the policy does not list.

    ``name`` is theirs together, None for none. ``calls`` are its own, ``below`` those of keys below it. Times are Unix
    milliseconds, to the hour.
    """

    name: str | None
    operations: tuple[Operation, ...]
    calls: int
    below: int
    first_ms: int
    last_ms: int


class Handed(Struct, frozen=True):
    """Credentials of one kind that calls of one route may have handed out, ``times`` at most."""

    kind: CredentialKind
    members: tuple[str, ...]
    did: Did

    @property
    def times(self) -> int:
        return self.did.calls + self.did.below


class Denied(Struct, frozen=True):
    """Calls that were refused, of it and of keys below it; ``is_all`` False if there were more than were counted."""

    calls: int
    last_ms: int | None
    is_all: bool


class Blast(Struct, frozen=True):
    """``did`` and ``denied`` are None where nothing is recorded."""

    root: Detail
    could: tuple[Operation, ...]
    nodes: tuple[Node, ...]
    living: int
    minted: int
    did: tuple[Did, ...] | None
    denied: Denied | None
    handed: tuple[Handed, ...]

    @property
    def is_over(self) -> bool:
        """Whether the key was revoked already."""
        return self.root.lineage.key.revoked_at_ms is not None


class BlastRadius:
    """Works it out. ``trail`` None: nothing is recorded."""

    def __init__(
        self, store: Store, trail: Trail | None, operations: Iterable[Operation], kinds: Sequence[CredentialKind]
    ) -> None:
        self._store = store
        self._trail = trail
        self._table = Table(operations)
        self._kinds = kinds

    def of(self, account_id: str, kind: Kind, key_id: str, now_ms: int) -> Blast:
        """Raises NotFound and StoreUnavailable."""
        below = tree(self._store, account_id, kind, key_id, MOST_BELOW, None)
        did = _did(self._trail, self._table, account_id, key_id, below.nodes) if self._trail else None
        denied = _denied(self._trail, account_id, key_id) if self._trail else None
        return Blast(
            root=below.root,
            could=_could(self._table, below.root.lineage),
            nodes=below.nodes,
            living=sum(node.lineage.state_at(now_ms) is State.ACTIVE for node in below.nodes),
            minted=below.total,
            did=did,
            denied=denied,
            handed=tuple(handed for one in did or () for handed in _handed(one, self._kinds)),
        )


def _could(table: Table, lineage: Lineage) -> tuple[Operation, ...]:
    """The operations that its line covers: what destroys comes first, then what hands out credentials, then writes."""
    grant = lineage.grant
    covered = [row for row in table if grant is None or not grant.missing(_needs(table, row))]
    return tuple(sorted(covered, key=lambda row: (row.destroys is None, not row.credentials, not _writes(row), row.id)))


def _needs(table: Table, row: Operation) -> tuple[Scope, ...]:
    route = table.find(row.method, row.template)
    return route.needs if route is not None else row.needs  # with a tie, the scopes of all that are tied


def _writes(row: Operation) -> bool:
    return any(scope.level is Level.WRITE for scope in row.needs)


def _did(trail: Trail, table: Table, account_id: str, key_id: str, nodes: Sequence[Node]) -> tuple[Did, ...]:
    own = _uses(trail, account_id, (key_id,))
    below = _uses(trail, account_id, tuple(node.lineage.key.id for node in nodes)) if nodes else []
    by_operation: dict[str | None, list[UseCount]] = {}
    for use in (*own, *below):
        by_operation.setdefault(use.operation, []).append(use)
    did = [_of_operation(table, name, uses, key_id) for name, uses in by_operation.items()]
    return tuple(sorted(did, key=lambda one: one.last_ms, reverse=True))


def _uses(trail: Trail, account_id: str, key_ids: tuple[str, ...]) -> list[UseCount]:
    return trail.uses(UseQuery(account_id=account_id, key_ids=key_ids, step_ms=HOUR_MS))


def _of_operation(table: Table, name: str | None, uses: Sequence[UseCount], key_id: str) -> Did:
    times = [use.minute_ms for use in uses]
    calls = sum(use.calls for use in uses if use.key_id == key_id)
    rows = (table.by_id(part) for part in (name or "").split(TIE))
    return Did(
        name,
        tuple(row for row in rows if row is not None),
        calls,
        sum(use.calls for use in uses) - calls,
        min(times),
        max(times),
    )


def _handed(did: Did, kinds: Sequence[CredentialKind]) -> list[Handed]:
    members: dict[CredentialKind, list[str]] = {}
    for path in (path for operation in did.operations for path in operation.credentials):
        members.setdefault(kind_of(kinds, path), []).append(path.text)
    return [Handed(kind, tuple(paths), did) for kind, paths in members.items()]


def _denied(trail: Trail, account_id: str, key_id: str) -> Denied:
    query = EntryQuery(account_id=account_id, limit=MOST_DENIALS, key_id=key_id, verdict=Verdict.DENIED)
    page = trail.entries(query)
    last_ms = page.items[0].at_ms if page.items else None
    return Denied(sum(entry.times for entry in page.items), last_ms, not page.has_more)
