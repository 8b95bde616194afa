"""The receipt of a change, in replies of servers that are one of several nodes (decision 20)."""

from __future__ import annotations

import msgspec

from keyscope.api.replies.shape import Reply
from keyscope.authority.receipts import Receipt
from keyscope.wire.codec import encode


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


def receipt_view(receipt: Receipt) -> dict[str, object]:
    pending = [{"node": node.node, "closes_by_ms": node.closes_by_ms} for node in receipt.pending]
    view = {"epoch": receipt.epoch, "number": receipt.number, "acknowledged": list(receipt.acknowledged)}
    return {**view, "closed": list(receipt.closed), "pending": pending}


def receipt_member(receipt: Receipt | None) -> dict[str, object]:
    """What a reply has more, if there is a receipt."""
    return {"receipt": receipt_view(receipt)} if receipt is not None else {}


def with_receipt(reply: bytes, member: dict[str, object]) -> bytes:
    """A reply that is written already, and may be kept for who asks again: each time with a receipt of its own."""
    return encode({**msgspec.json.decode(reply), **member}) if member else reply
