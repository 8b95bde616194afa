"""The receipt of a change, in replies of servers that are one of several nodes (decision 20)."""

from __future__ import annotations

from keyscope.api.replies.shape import Reply
from keyscope.authority.receipts import Receipt


class PendingView(Reply):
    """A node that may still judge by what was before, and until when at most (Unix milliseconds)."""

    node: str
    closes_by_ms: int


class ReceiptView(Reply):
    """Which nodes have change ``number`` of the database that ``epoch`` names.

    The nodes in ``closed`` were not heard for so long that they judge nothing until they have it.
    """

    epoch: str
    number: int
    acknowledged: list[str]
    closed: list[str]
    pending: list[PendingView]


def receipt_member(receipt: Receipt | None) -> dict[str, object]:
    """What a reply has more, if there is a receipt."""
    if receipt is None:
        return {}
    pending = [{"node": node.node, "closes_by_ms": node.closes_by_ms} for node in receipt.pending]
    view = {"epoch": receipt.epoch, "number": receipt.number, "acknowledged": list(receipt.acknowledged)}
    return {"receipt": {**view, "closed": list(receipt.closed), "pending": pending}}
