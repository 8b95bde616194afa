"""What a key has used, by the audit trail: its own calls, and those of all that it minted or that was derived from it.

Keys below it count because they can do only what it can: to narrow it narrows them. So do the scopes of the keys that
it minted, since it could not mint them without having them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from keyscope.authority.bounds import check_in_tree
from keyscope.authority.lookup import find
from keyscope.authority.ports import Reader, Store
from keyscope.authority.trail import MINUTE_MS, EntryQuery, Trail, UseCount, UseQuery, Verdict
from keyscope.model.key import Key, Lineage
from keyscope.model.objection import Reason
from keyscope.model.scope import Scope
from keyscope.model.token import Kind

DAY_MS = 86_400_000
MINTS = "createRestrictedKey"
_MOST_DENIALS = 1000


class Use(Struct, frozen=True, kw_only=True):
    """Equal calls: by whom, of which operation, with what needs; how many, on how many days, and when last.

    ``last_ms`` is the start (Unix milliseconds) of the last day with one.
    """

    key_id: str
    operation: str
    needs: tuple[Scope, ...]
    calls: int
    days: int
    last_ms: int


class Evidence(Struct, frozen=True, kw_only=True):
    """What is known of a key's use between two times, Unix milliseconds.

    ``below`` has the keys that it led to, by id. ``refused`` counts calls in that time that scopes would have allowed.
    """

    subject: Lineage
    below: Mapping[str, Key]
    since_ms: int
    until_ms: int
    uses: tuple[Use, ...]
    refused: int


def gather(store: Store, trail: Trail, caller: Lineage, key_id: str, since_ms: int, now_ms: int) -> Evidence:
    """The evidence about a restricted key. Raises NotFound, OutsideTree and StoreUnavailable."""
    account_id = caller.key.account_id

    def work(reader: Reader) -> tuple[Lineage, list[Key]]:
        target = find(reader, account_id, Kind.RESTRICTED, key_id)
        check_in_tree(caller, target)
        return target, reader.descendants(key_id)

    subject, below = store.read(work)
    since_ms = max(since_ms, subject.key.created_at_ms)
    counts = trail.uses(_query(account_id, (key_id, *(key.id for key in below)), since_ms))
    return Evidence(
        subject=subject,
        below={key.id: key for key in below},
        since_ms=since_ms,
        until_ms=now_ms,
        uses=(*_uses(counts), *_mints(subject.key, below, since_ms)),
        refused=_refused(trail, account_id, key_id, since_ms),
    )


def _query(account_id: str, ids: tuple[str, ...], since_ms: int) -> UseQuery:
    return UseQuery(account_id=account_id, key_ids=ids, since_ms=since_ms - since_ms % MINUTE_MS, step_ms=DAY_MS)


def _uses(counts: Iterable[UseCount]) -> Iterator[Use]:
    """The counts of days added up."""
    same: dict[tuple[str, str, tuple[Scope, ...]], list[UseCount]] = {}
    for count in counts:
        if count.operation is not None:
            same.setdefault((count.key_id, count.operation, count.needs), []).append(count)
    for (key_id, operation, needs), days in same.items():
        yield Use(
            key_id=key_id,
            operation=operation,
            needs=needs,
            calls=sum(count.calls for count in days),
            days=len({count.minute_ms for count in days}),
            last_ms=max(count.minute_ms for count in days),
        )


def _mints(key: Key, below: Iterable[Key], since_ms: int) -> Iterator[Use]:
    for child in below:
        if child.parent_id == key.id and child.created_at_ms >= since_ms and not child.is_standard:
            given = (*child.scopes, *(child.narrowed_from or ()))
            at_ms = child.created_at_ms
            yield Use(key_id=key.id, operation=MINTS, needs=given, calls=0, days=1, last_ms=at_ms - at_ms % DAY_MS)


def _refused(trail: Trail, account_id: str, key_id: str, since_ms: int) -> int:
    asked = EntryQuery(
        account_id=account_id, key_id=key_id, verdict=Verdict.DENIED, since_ms=since_ms, limit=_MOST_DENIALS
    )
    found = trail.entries(asked).items
    return sum(entry.times for entry in found if Reason.MISSING_SCOPE.value in entry.reasons)
