"""Work that takes something from keys: its reply has a receipt, if the server is one of several nodes (decision 20)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from fastapi import Request

from keyscope.api.caller import Caller, call_of, in_thread
from keyscope.api.replies.receipt import receipt_member
from keyscope.authority.receipts import Receipt, receipts
from keyscope.errors import StoreUnavailable
from keyscope.wire.prefer import preferred_wait_ms

T = TypeVar("T")


def wait_of(request: Request, caller: Caller, key_id: str | None = None) -> int | None:
    """How long the caller wants to wait for the other nodes; None for as long as the settings say.

    Whoever takes from its own key, or from one above it, could perhaps not ask afterwards, and so does wait.
    """
    return None if key_id in caller.lineage.ids else preferred_wait_ms(call_of(request).headers)


async def taking(work: Callable[[], T], wait_ms: int | None = None) -> tuple[T, dict[str, object]]:
    """As ``in_thread``: also what the reply says of who knows of it."""
    done, receipt = await taken(work, wait_ms)
    return done, receipt_member(receipt)


async def taken(work: Callable[[], T], wait_ms: int | None = None) -> tuple[T, Receipt | None]:
    """The same, with the receipt itself."""
    with receipts(wait_ms) as given:
        done = await in_thread(work)
    return done, given.last


async def everywhere(work: Callable[[], T]) -> T:
    """For answers that have no place for a receipt. Raises StoreUnavailable while a node may not have it yet."""
    done, receipt = await taken(work)
    if receipt is not None and receipt.pending:
        raise StoreUnavailable(f"change {receipt.number} is committed, and not known to every node yet")
    return done
