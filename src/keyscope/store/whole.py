"""Whether an authority is whole: every record, every line of keys, the numbers, what is counted or kept twice, and
whose own things are.

Opening a database finds what is missing; this reads everything, in one view, in SQL that both SQLite and PostgreSQL
take.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Struct

from keyscope.errors import StoreUnavailable
from keyscope.model.key import Key
from keyscope.store import rows
from keyscope.store.line import MOST_ANCESTORS
from keyscope.store.session import SqlReader

_KEYS = "SELECT keys.*, record FROM keys LEFT JOIN records ON records.digest = keys.digest"
_STRAY = "SELECT records.digest FROM records LEFT JOIN keys ON keys.digest = records.digest WHERE keys.id IS NULL"
_FORMERS = "SELECT key_id, record, keys.id FROM former_secrets LEFT JOIN keys ON keys.id = key_id"
_ACCOUNTS = "SELECT keys.id FROM keys LEFT JOIN accounts ON accounts.id = account_id WHERE accounts.id IS NULL"
_COUNTED = (
    "SELECT counted.account_id, counted.kind FROM (SELECT account_id, kind, count(*) AS total FROM keys"
    " GROUP BY account_id, kind) AS counted LEFT JOIN key_totals AS kept ON kept.account_id = counted.account_id"
    " AND kept.kind = counted.kind WHERE kept.total IS NULL OR kept.total <> counted.total"
)
_STRANGE = (
    "SELECT things.id, accounts.id IS NOT NULL, makers FROM things LEFT JOIN accounts ON accounts.id = account_id"
    " WHERE accounts.id IS NULL OR makers = '' OR makers LIKE ' %' OR makers LIKE '% ' OR makers LIKE '%  %'"
)
_EVENTS = "SELECT count(*), coalesce(min(number), 1), coalesce(max(number), 0) FROM events"


class Fault(Struct, frozen=True):
    """Something that is wrong: of what (a key's id, a table), and what it is."""

    of: str
    message: str


def faults(reader: SqlReader) -> Iterator[Fault]:
    """Everything that is wrong, as it is found."""
    parents: dict[str, str | None] = {}
    for *row, record in reader.walk(_KEYS):
        parents[row[0]] = row[4]
        yield from _of_key(tuple(row), record)
    yield from _of_lines(parents)
    yield from (Fault(digest.hex(), "a record that no key leads to") for (digest,) in reader.walk(_STRAY))
    yield from (Fault(key_id, "its account is not there") for (key_id,) in reader.walk(_ACCOUNTS))
    yield from _of_formers(reader)
    yield from _of_things(reader)
    yield from (Fault(account, f"its {kind} keys are miscounted") for account, kind in reader.walk(_COUNTED))
    yield from _of_numbers("events", *next(iter(reader.walk(_EVENTS))))


def _of_key(row: rows.Row, record: bytes | None) -> Iterator[Fault]:
    key = _read(record)
    if key is None:
        yield Fault(row[0], "its record is missing or damaged")
    elif rows.key_row(key) != row:
        yield Fault(row[0], "its record says something else than what lists are made from")


def _read(record: bytes | None) -> Key | None:
    try:
        return rows.key_of(record) if record is not None else None
    except StoreUnavailable:
        return None


def _of_lines(parents: dict[str, str | None]) -> Iterator[Fault]:
    sound: set[str | None] = {None}
    for key_id in parents:
        line: list[str] = []
        above: str | None = key_id
        while above not in sound and above in parents and len(line) <= MOST_ANCESTORS:
            line.append(above)
            above = parents[above]
        if above in sound:
            sound.update(line)
        else:
            yield Fault(key_id, f"the line of keys above it is broken, or longer than {MOST_ANCESTORS}")


def _of_formers(reader: SqlReader) -> Iterator[Fault]:
    for key_id, record, found in reader.walk(_FORMERS):
        try:
            former = rows.former_of(record)
        except StoreUnavailable:
            yield Fault(key_id, "the record of an earlier secret is damaged")
            continue
        if found is None or former.key_id != key_id:
            yield Fault(key_id, "an earlier secret leads to no key, or to another one")


def _of_things(reader: SqlReader) -> Iterator[Fault]:
    for thing, has_account, makers in reader.walk(_STRANGE):
        fault = f"the keys whose own it is are not readable: {makers!r}" if has_account else "its account is not there"
        yield Fault(thing, fault)


def _of_numbers(table: str, count: int, first: int, last: int) -> Iterable[Fault]:
    if (first, last) != (1, count):
        yield Fault(table, f"there are {count}, numbered from {first} to {last}: some are missing")
