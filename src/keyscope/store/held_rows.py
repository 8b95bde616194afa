"""Held calls to rows and back: the whole of one in MessagePack, beside the columns by which it is found."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from keyscope.authority.ports import HeldQuery
from keyscope.errors import StoreUnavailable
from keyscope.model.held import Held

PUT = "INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
LISTED = (
    "SELECT record FROM held WHERE account_id = :account_id AND (:state IS NULL OR state = :state)"
    " AND (:key_id IS NULL OR key_id = :key_id)"
    " AND (:within IS NULL OR key_id IN (SELECT value FROM json_each(:within)))"
    " AND (:starting_after IS NULL OR id < :starting_after) ORDER BY id DESC LIMIT :limit"
)
SAME = (
    "SELECT record FROM held WHERE key_id = ? AND digest = ? AND links = ? AND (state = 'held' OR request_id = ?)"
    " ORDER BY id DESC LIMIT 1"
)
DUE = "SELECT record FROM held WHERE due_at_ms <= ? ORDER BY due_at_ms, id LIMIT ?"

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder(Held).decode


def held_row(held: Held) -> tuple[Any, ...]:
    """The columns of ``held``."""
    found_by = (held.id, held.account_id, held.key_id, held.state.value, held.due_at_ms, held.digest)
    return (*found_by, " ".join(held.links), held.request_id, _pack(held))


def held_of(record: bytes) -> Held:
    """Raises StoreUnavailable if it is damaged, or of a state that this version does not know."""
    try:
        return _unpack(record)
    except msgspec.DecodeError as error:
        raise StoreUnavailable(f"a held call cannot be read: {error}") from error


def parameters(query: HeldQuery) -> dict[str, Any]:
    """Those of LISTED."""
    return {
        "account_id": query.account_id,
        "state": query.state.value if query.state is not None else None,
        "key_id": query.key_id,
        "within": json.dumps(query.within) if query.within is not None else None,
        "starting_after": query.starting_after,
        "limit": query.limit,
    }
