"""Replies about leaked keys."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, RootModel

from keyscope.api.replies.receipt import ReceiptView
from keyscope.api.replies.shape import Reply
from keyscope.authority.leaks import Ended
from keyscope.model.key import Lineage


class LeakTaken(Reply):
    """What came of a leaked key. ``id`` is null for a text that was never a key of this account."""

    id: str | None
    derived_id: str | None
    ended: Literal["key", "earlier_secret", "derived_key"] | None


class LeaksTaken(Reply):
    """In the order of the report."""

    results: list[LeakTaken]
    receipt: ReceiptView | None = None


class Feedback(BaseModel):
    """Whether a token is one of ours; ``token_hash`` is the SHA-256 of its text in hexadecimal."""

    token_hash: str
    token_type: str
    label: Literal["true_positive", "false_positive"]


class FeedbackList(RootModel[list[Feedback]]):
    """GitHub's form of feedback."""


def leak_view(lineage: Lineage | None, ended: Ended | None) -> dict[str, object]:
    if lineage is None:
        return {"id": None, "derived_id": None, "ended": None}
    derived = lineage.derived[-1] if lineage.derived else None
    return {"id": lineage.key.id, "derived_id": derived, "ended": ended}
