"""Replies about the blast radius of a key."""

from __future__ import annotations

from keyscope.api.replies.keys import ApiKeyView, RestrictedKeyView, key_view
from keyscope.api.replies.shape import Reply
from keyscope.api.replies.tree import NodeView, node_view
from keyscope.authority.blast import Blast, Denied, Did, Handed
from keyscope.model.operation import Operation
from keyscope.model.token import Kind
from keyscope.wire.own import API_KEYS, RESTRICTED_KEYS

SHOWN = 100
"""How many of the keys below it are named; all are counted."""


class CouldView(Reply):
    """An operation that it could call. ``destroys`` is a resource type; ``hands_out`` are members of the reply."""

    id: str
    call: str
    needs: list[str]
    destroys: str | None
    hands_out: list[str]
    why: str


class DidView(Reply):
    """Allowed calls of an operation (null: not in the policy), its own and those of keys below it. Times to the hour.

    Where several operations tie for a call, ``operation`` has the ids of all, with ``+`` between.
    """

    operation: str | None
    call: str | None
    destroys: str | None
    calls: int
    calls_below: int
    first_ms: int
    last_ms: int


class DeniedView(Reply):
    """Refused calls, of it and of keys below it; ``is_all`` false if there were more than these."""

    calls: int
    last_ms: int | None
    is_all: bool


class MintedView(Reply):
    """The keys below it: how many, how many of them live, and the first 100."""

    count: int
    living: int
    keys: list[NodeView]


class HandedView(Reply):
    """Credentials that its calls may have been handed, ``times`` at most, and how one is ended."""

    kind: str
    members: list[str]
    operation: str | None
    call: str | None
    times: int
    first_ms: int
    last_ms: int
    ends: str


class EndView(Reply):
    """The one command, and the one call, that end the key and all that it minted. ``is_over``: that was done."""

    command: str
    call: str
    is_over: bool


class _BlastView(Reply):
    could: list[CouldView]
    did: list[DidView] | None
    denied: DeniedView | None
    minted: MintedView
    handed: list[HandedView]
    end: EndView


class ApiKeyBlast(_BlastView):
    """What a key could do, did, minted and was handed. ``did`` and ``denied`` are null where nothing is recorded."""

    key: ApiKeyView


class RestrictedKeyBlast(_BlastView):
    """What a key could do, did, minted and was handed. ``did`` and ``denied`` are null where nothing is recorded."""

    key: RestrictedKeyView


def blast_view(blast: Blast, now_ms: int) -> dict[str, object]:
    key = blast.root.lineage.key
    prefix = API_KEYS if key.kind is Kind.STANDARD else RESTRICTED_KEYS
    minted = [node_view(node, now_ms) for node in blast.nodes[:SHOWN]]
    return {
        "key": key_view(blast.root, now_ms),
        "could": [_could(row) for row in blast.could],
        "did": [_did(one) for one in blast.did] if blast.did is not None else None,
        "denied": _denied(blast.denied) if blast.denied is not None else None,
        "minted": {"count": blast.minted, "living": blast.living, "keys": minted},
        "handed": [_handed(one) for one in blast.handed],
        "end": {
            "command": f"keyscope keys revoke {key.id} --reason leaked",
            "call": f"POST {prefix}/{key.id}/revoke",
            "is_over": blast.is_over,
        },
    }


def _could(row: Operation) -> dict[str, object]:
    return {
        "id": row.id,
        "call": row.call,
        "needs": [str(scope) for scope in row.needs],
        "destroys": row.destroys,
        "hands_out": [path.text for path in row.credentials],
        "why": row.why,
    }


def _did(did: Did) -> dict[str, object]:
    return {
        "operation": did.name,
        "call": " or ".join(row.call for row in did.operations) or None,
        "destroys": next((row.destroys for row in did.operations if row.destroys is not None), None),
        "calls": did.calls,
        "calls_below": did.below,
        "first_ms": did.first_ms,
        "last_ms": did.last_ms,
    }


def _denied(denied: Denied) -> dict[str, object]:
    return {"calls": denied.calls, "last_ms": denied.last_ms, "is_all": denied.is_all}


def _handed(handed: Handed) -> dict[str, object]:
    did = _did(handed.did)
    return {
        "kind": handed.kind.name,
        "members": list(handed.members),
        "operation": did["operation"],
        "call": did["call"],
        "times": handed.times,
        "first_ms": did["first_ms"],
        "last_ms": did["last_ms"],
        "ends": handed.kind.ends,
    }
