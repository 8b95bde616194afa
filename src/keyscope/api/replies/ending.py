"""Replies about keys that ended."""

from __future__ import annotations

from typing import Literal

from keyscope.api.replies.receipt import ReceiptView
from keyscope.api.replies.shape import Reply, kind_word
from keyscope.authority.panic import Ended as EndedKeys


class DerivedRevoked(Reply):
    """A derived key that is good no longer, and what was derived from it."""

    key_id: str
    derived_id: str
    status: Literal["revoked"]
    receipt: ReceiptView | None = None


class Ended(Reply):
    """The calling key is good no longer. ``died_with_it`` counts the living keys that it had minted."""

    id: str
    status: Literal["revoked"]
    died_with_it: int
    receipt: ReceiptView | None = None


class EndedView(Reply):
    id: str
    name: str
    kind: Literal["standard", "restricted"]


class KeysEnded(Reply):
    """The keys revoked, or, on a dry run, those that would be: how many, and the first 100 of them."""

    dry_run: bool
    count: int
    keys: list[EndedView]
    died_with_them: int
    receipt: ReceiptView | None = None


def ended_view(ended: EndedKeys, dry_run: bool) -> dict[str, object]:
    keys = [{"id": key.id, "name": key.name, "kind": kind_word(key)} for key in ended.keys]
    return {"dry_run": dry_run, "count": ended.count, "keys": keys, "died_with_them": ended.died}
