"""Searches of the trail in SQL. Values travel as parameters; the text is put together from the constants below."""

from __future__ import annotations

import msgspec

from keyscope.authority.trail import EntryQuery, UseQuery

ROWS_OF_MINUTE = (
    "SELECT minute_ms, key_id, operation, needs, account_id, calls FROM uses"
    " WHERE minute_ms = ? ORDER BY key_id, operation, needs"
)
LAST_EVENT = "SELECT event FROM entries WHERE event IS NOT NULL ORDER BY number DESC LIMIT 1"
LAST_OF_KIND = "SELECT record FROM entries WHERE kind = ? ORDER BY number DESC LIMIT 1"
LAST_CHECKPOINT_BEFORE = (
    "SELECT number, at_ms FROM entries WHERE kind = 'trail.checkpoint' AND at_ms < ? ORDER BY number DESC LIMIT 1"
)
DROP_ENTRIES = "DELETE FROM entries WHERE number IN (SELECT number FROM entries WHERE number <= ? ORDER BY 1 LIMIT ?)"
OLD_MINUTES = "SELECT DISTINCT minute_ms FROM uses WHERE minute_ms < ? ORDER BY 1 LIMIT ?"
NOT_FOUND_BY_KEY = (
    "SELECT 1 FROM entries, json_each(record, '$.chain') WHERE NOT EXISTS"
    " (SELECT 1 FROM entry_keys WHERE key_id = value AND entry_keys.number = entries.number) LIMIT 1"
)
ADD_USE = (
    "INSERT INTO uses VALUES (?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (minute_ms, key_id, operation, needs) DO UPDATE SET calls = calls + excluded.calls"
)

_RECORDS = "SELECT record FROM entries"
_BY_KEY = "SELECT record FROM entry_keys CROSS JOIN entries ON entries.number = entry_keys.number"
_WHOLE_TIME = "SELECT min(minute_ms) AS start"
_BY_STEP = "SELECT minute_ms - minute_ms % :step_ms AS start"
_SUMS = (
    ", key_id, operation, needs, account_id, sum(calls) FROM uses"
    " WHERE account_id = :account_id AND minute_ms >= :since_ms AND minute_ms < :until_ms"
)
_ORDER = " ORDER BY start, key_id, operation, needs LIMIT :limit OFFSET :skip"
_OF_KEYS = " AND key_id IN (SELECT value FROM json_each(:key_ids))"

_CONDITIONS = {
    "account_id": "account_id = :account_id",
    "key_id": "entry_keys.key_id = :key_id",
    "within": (
        "entries.number IN"
        " (SELECT mine.number FROM entry_keys AS mine WHERE mine.key_id IN (SELECT value FROM json_each(:within)))"
    ),
    "operation": "operation = :operation",
    "kind": "kind = :kind",
    "code": "code = :code",
    "verdict": "kind IN (SELECT value FROM json_each(:verdict))",
    "since_ms": "at_ms >= :since_ms",
    "until_ms": "at_ms < :until_ms",
    "before": "{number} < :before",
    "after": "{number} > :after",
}
"""By the field of EntryQuery that calls for each."""


def search(query: EntryQuery) -> tuple[str, dict[str, object]]:
    """A statement with one row more than the limit if there are further ones, and its parameters."""
    given = {name: value for name in _CONDITIONS if (value := getattr(query, name)) is not None}
    # By key, the rows are found in order of number from the start, so a page costs the same however many there are.
    source, number = (_BY_KEY, "entry_keys.number") if query.key_id is not None else (_RECORDS, "entries.number")
    where = " AND ".join(_CONDITIONS[name].format(number=number) for name in given) or "true"
    order = "ASC" if query.after is not None else "DESC"
    if query.verdict is not None:
        given["verdict"] = _listed(query.verdict.kinds)
    if query.within is not None:
        given["within"] = _listed(query.within)
    statement = f"{source} WHERE {where} ORDER BY {number} {order} LIMIT :limit"
    return statement, {**given, "limit": query.limit + 1}


def sums(query: UseQuery) -> tuple[str, dict[str, object]]:
    """A statement with rows for trail_rows.use_of, and its parameters."""
    start, by = (_WHOLE_TIME, "") if query.step_ms is None else (_BY_STEP, ", start")
    keys = _OF_KEYS if query.key_ids is not None else ""
    statement = f"{start}{_SUMS}{keys} GROUP BY key_id, operation, needs{by}{_ORDER}"
    return statement, {
        "account_id": query.account_id,
        "since_ms": query.since_ms,
        "until_ms": query.until_ms if query.until_ms is not None else 1 << 62,
        "step_ms": query.step_ms,
        "key_ids": _listed(query.key_ids or ()),
        "limit": query.limit if query.limit is not None else -1,
        "skip": query.skip,
    }


def _listed(values: tuple[str, ...]) -> str:
    return msgspec.json.encode(values).decode()
