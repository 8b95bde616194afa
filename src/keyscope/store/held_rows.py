"""Held calls to rows and back: the whole of one in MessagePack, beside the columns by which it is found."""

from __future__ import annotations

from typing import Any

import msgspec

from keyscope.authority.ports import HeldQuery
from keyscope.errors import StoreUnavailable
from keyscope.model.held import Held

PUT = (
    "INSERT INTO held VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET"
    " (account_id, key_id, state, due_at_ms, digest, links, request_id, record) = (excluded.account_id,"
    " excluded.key_id, excluded.state, excluded.due_at_ms, excluded.digest, excluded.links, excluded.request_id,"
    " excluded.record)"
)
LISTED = (
    "SELECT record FROM held WHERE account_id = :account_id"
    " AND (CAST(:state AS TEXT) IS NULL OR state = :state)"
    " AND (CAST(:key_id AS TEXT) IS NULL OR key_id = :key_id)"
    " AND (CAST(:within AS TEXT) IS NULL OR instr(:within, ' ' || key_id || ' ') > 0)"
    " AND (CAST(:starting_after AS TEXT) IS NULL OR id < :starting_after) ORDER BY id DESC LIMIT :limit"
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
        "within": f" {' '.join(query.within)} " if query.within is not None else None,
        "starting_after": query.starting_after,
        "limit": query.limit,
    }
