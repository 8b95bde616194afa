"""A KeyQuery in SQL. Values travel as parameters; the text is put together from the constants below.

``status`` is found from the top down: the keys that are stopped on their own, then the keys below them that are not.
A key has one parent, so each appears at most once, with the state of the nearest obstacle, as Lineage.state_at says.
"""

from __future__ import annotations

from typing import NamedTuple

from keyscope.authority.ports import KeyQuery, Selector
from keyscope.model.key import State

KEYS = "SELECT record FROM keys JOIN records USING (digest)"
"""Rows of one column, for rows.key_of."""

KEY_BY_ID = f"{KEYS} WHERE id = ?"
KEY_BY_DIGEST = "SELECT record FROM records WHERE digest = ?"

FORMER_BY_DIGEST = "SELECT record FROM former_secrets WHERE digest = ?"

_EVENT = "SELECT number, kind, at_ms, account_id, key_id, chain, peer, request_id, changes FROM events"
EVENTS = f"{_EVENT} WHERE number > ? ORDER BY number LIMIT ?"
EVENTS_OF_ACCOUNT = f"{_EVENT} WHERE account_id = ? AND number > ? ORDER BY number LIMIT ?"
"""Both with rows for rows.event_of."""

RULES = "SELECT rules FROM accounts WHERE id = ?"

REPLY = (
    "SELECT caller_id, request_id, request_digest, sealed, created_at_ms FROM replies"
    " WHERE caller_id = ? AND request_id = ?"
)
"""With a row for rows.reply_of."""

DROP_REPLIES = "DELETE FROM replies WHERE created_at_ms < ?"

ADD_KEY = "INSERT INTO keys VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
REPLACE_KEY = (
    "UPDATE keys SET (id, digest, account_id, kind, parent_id, name, scopes, created_at_ms,"
    " expires_at_ms, suspended_at_ms, revoked_at_ms, resumed_at_ms) = (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) WHERE id = ?"
)
"""Both with a row of rows.key_row."""

_BELOW = """
WITH RECURSIVE below(descendant_id) AS (
    SELECT id FROM keys WHERE parent_id = ?
    UNION
    SELECT id FROM keys JOIN below ON parent_id = descendant_id
)
"""
DESCENDANTS = f"{_BELOW} {KEYS} JOIN below ON id = descendant_id ORDER BY id"

_TREE = "mine(key_id) AS (SELECT ? UNION SELECT descendant_id FROM below)"
_DIGESTS = (
    "SELECT digest FROM keys JOIN mine ON id = key_id"
    " UNION ALL SELECT digest FROM former_secrets JOIN mine USING (key_id)"
)
DIGESTS_BELOW = f"{_BELOW}, {_TREE} {_DIGESTS} LIMIT ?"
"""With the key's id, twice, and the limit."""

LIVING_CHILDREN = (
    "SELECT count(*) FROM keys WHERE parent_id = ? AND revoked_at_ms IS NULL"
    " AND (expires_at_ms IS NULL OR expires_at_ms > ?)"
    " AND NOT EXISTS (SELECT 1 FROM runs WHERE key_id = id AND lease_until_ms <= ?)"
)
SELECTED = (
    f"{KEYS} WHERE account_id = :account_id AND revoked_at_ms IS NULL"
    " AND (CAST(:created_by AS TEXT) IS NULL OR parent_id = :created_by)"
    " AND (CAST(:name_prefix AS TEXT) IS NULL OR substr(name, 1, length(:name_prefix)) = :name_prefix)"
    " AND (NOT :restricted_only OR kind = 'rk') ORDER BY id"
)
_LAST_USE = "coalesce((SELECT used_at_ms FROM key_usage WHERE key_id = id), 0)"
IDLE = (
    f"{KEYS} WHERE account_id = ? AND kind = 'rk' AND revoked_at_ms IS NULL AND suspended_at_ms IS NULL"
    " AND created_at_ms < ? AND coalesce(resumed_at_ms, 0) < ? AND (expires_at_ms IS NULL OR expires_at_ms > ?)"
    f" AND {_LAST_USE} < ? ORDER BY id LIMIT ?"
)
_ENDS = "expires_at_ms > ? AND expires_at_ms <= ? AND revoked_at_ms IS NULL"
EXPIRING = f"{KEYS} WHERE {_ENDS} ORDER BY expires_at_ms, id LIMIT ?"
HAS_BOUND = "SELECT 1 FROM runs WHERE account_id = ? AND devbox_id = ? LIMIT 1"
BOUND = f"{KEYS} JOIN runs ON id = key_id WHERE runs.account_id = ? AND devbox_id = ? ORDER BY id"
LAPSED = f"{KEYS} JOIN runs ON id = key_id WHERE lease_until_ms <= ? ORDER BY lease_until_ms, id LIMIT ?"
PUT_RUN = (
    "INSERT INTO runs VALUES (?, ?, ?, ?) ON CONFLICT (key_id) DO UPDATE SET (account_id, devbox_id, lease_until_ms) ="
    " (excluded.account_id, excluded.devbox_id, excluded.lease_until_ms)"
)
ANY_DERIVED_REVOKED = "SELECT 1 FROM revoked_derived LIMIT 1"
DERIVED_REVOKED = "SELECT 1 FROM revoked_derived WHERE key_id = ? AND link_id = ?"

REVOKE_DERIVED = "INSERT INTO revoked_derived VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
RECORD_USE = (
    "INSERT INTO key_usage SELECT id, ? FROM keys WHERE id = ? ON CONFLICT (key_id) DO UPDATE"
    " SET used_at_ms = excluded.used_at_ms WHERE excluded.used_at_ms > key_usage.used_at_ms"
)
RECORD_DEAD_USES = (
    "INSERT INTO dead_uses SELECT id, ?, ? FROM keys WHERE id = ? ON CONFLICT (key_id) DO UPDATE"
    " SET uses = dead_uses.uses + excluded.uses, last_at_ms = CASE WHEN excluded.last_at_ms > dead_uses.last_at_ms"
    " THEN excluded.last_at_ms ELSE dead_uses.last_at_ms END"
)
PUT_SESSION = (
    "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET"
    " (key_id, key_digest, csrf, opened_at_ms, seen_at_ms, ends_at_ms) = (excluded.key_id, excluded.key_digest,"
    " excluded.csrf, excluded.opened_at_ms, excluded.seen_at_ms, excluded.ends_at_ms)"
)

_STOPPED = """
WITH RECURSIVE lapsed(key_id) AS (SELECT key_id FROM runs WHERE lease_until_ms <= :now_ms),
stopped(stopped_id, state) AS (
    SELECT id, CASE WHEN revoked_at_ms IS NOT NULL THEN 'revoked'
                    WHEN expires_at_ms <= :now_ms OR id IN (SELECT key_id FROM lapsed) THEN 'expired'
                    ELSE 'suspended' END
    FROM keys
    WHERE revoked_at_ms IS NOT NULL OR expires_at_ms <= :now_ms OR suspended_at_ms IS NOT NULL
    OR id IN (SELECT key_id FROM lapsed)
    UNION ALL
    SELECT id, state FROM stopped JOIN keys ON parent_id = stopped_id
    WHERE revoked_at_ms IS NULL AND (expires_at_ms IS NULL OR expires_at_ms > :now_ms) AND suspended_at_ms IS NULL
    AND id NOT IN (SELECT key_id FROM lapsed)
)
"""

TOTALS = "SELECT kind, sum(total) FROM key_totals GROUP BY kind"
_BY_KIND = "SELECT kind, state, count(*) FROM stopped JOIN keys ON id = stopped_id GROUP BY kind, state"
STOPPED_TOTALS = f"{_STOPPED} {_BY_KIND}"

_COUNT = "SELECT count(*) FROM keys"
_KEPT_TOTAL = "SELECT coalesce(sum(total), 0) FROM key_totals"

_CONDITIONS = {
    "name": "instr(lower(name), :name) > 0",
    "resource": "(instr(' ' || scopes || ' ', :readable) > 0 OR instr(' ' || scopes || ' ', :writable) > 0)",
    "created_by": "parent_id = :created_by",
    "expires_before_ms": "expires_at_ms < :expires_before_ms",
    "last_used_before_ms": "coalesce((SELECT used_at_ms FROM key_usage WHERE key_id = id), created_at_ms)"
    " < :last_used_before_ms",
}
"""By the field of KeyQuery that calls for each."""


class Listing(NamedTuple):
    """The two statements of a list, and their parameters."""

    page: str
    total: str
    parameters: dict[str, object]


def listing(query: KeyQuery) -> Listing:
    """The page has one row more than the limit if there are further pages."""
    conditions = ["account_id = :account_id", "kind = :kind"]
    conditions += [sql for field, sql in _CONDITIONS.items() if getattr(query, field) is not None]
    if query.status is State.ACTIVE:
        conditions.append("id NOT IN (SELECT stopped_id FROM stopped)")
    elif query.status is not None:
        conditions.append("id IN (SELECT stopped_id FROM stopped WHERE state = :status)")
    all_pages = " AND ".join(conditions)
    this_page = all_pages if query.starting_after is None else f"{all_pages} AND id < :starting_after"
    start = _STOPPED if query.status is not None else ""
    count = _KEPT_TOTAL if len(conditions) == 2 else f"{start} {_COUNT}"
    return Listing(
        page=f"{start} {KEYS} WHERE {this_page} ORDER BY id DESC LIMIT :limit + 1",
        total=f"{count} WHERE {all_pages}",
        parameters=_parameters(query),
    )


def selection(account_id: str, selector: Selector) -> dict[str, object]:
    """The parameters of SELECTED."""
    return {
        "account_id": account_id,
        "created_by": selector.created_by,
        "name_prefix": selector.name_prefix,
        "restricted_only": selector.restricted_only,
    }


def _parameters(query: KeyQuery) -> dict[str, object]:
    return {
        "account_id": query.account_id,
        "kind": query.kind.value,
        "now_ms": query.now_ms,
        "limit": query.limit,
        "starting_after": query.starting_after,
        "name": ascii_lower(query.name or ""),
        "status": query.status.value if query.status is not None else None,
        "readable": f" {query.resource}:read ",
        "writable": f" {query.resource}:write ",
        "created_by": query.created_by,
        "expires_before_ms": query.expires_before_ms,
        "last_used_before_ms": query.last_used_before_ms,
    }


def ascii_lower(text: str) -> str:
    """Lower case for A-Z alone, as SQLite's own ``lower`` does it."""
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")
