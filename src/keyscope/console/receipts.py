"""Which nodes have what was taken away: shown after the deed, and followed by the page while some are pending."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import Desk, in_thread, one
from keyscope.api.receipts import whole_number
from keyscope.authority.receipts import Asked, Receipt
from keyscope.console.kit import Form, Kit, page, redirect
from keyscope.console.visitor import Visitor
from keyscope.errors import UnknownReceipt

_WAIT_MS = 10_000


class ReceiptPages:
    """``/receipts/{epoch}/{number}``. With ``known``, the tag of a receipt, it answers when there is another one."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [page("/receipts/{epoch}/{number}", self.show)]

    async def show(self, request: Request) -> Response:
        epoch, number = request.path_params["epoch"], request.path_params["number"]
        visitor = await self._kit.visitor(request)
        visitor.require("GET", f"/keyscope/receipts/{epoch}/{number}")
        known = one(request, "known")
        asked = Asked(epoch, whole_number(number), _WAIT_MS if known else 0, known)
        receipt = await in_thread(lambda: self._kit.desk.receipt(asked))
        return await self._kit.page(visitor, "receipt.html", lambda: {"receipt": receipt})


def wait_of(form: Form, visitor: Visitor, key_id: str) -> int | None:
    """None, as long as the settings say, unless the page goes on asking: by its script, and with a key that can."""
    follows = form.get("wait") == "0" and key_id not in visitor.lineage.ids
    return 0 if follows else None


def to_key(key_id: str, done: str, receipt: Receipt | None) -> Response:
    """To the page of the key, which says what was done and who knows of it."""
    name = f"&receipt={receipt.epoch}/{receipt.number}" if receipt is not None else ""
    return redirect(f"/keys/{key_id}?done={done}{name}")


async def named(request: Request, desk: Desk) -> Receipt | None:
    """The receipt that the address names, as it is now. An address may be older than the database behind it."""
    text = one(request, "receipt")
    if text is None:
        return None
    epoch, _, number = text.partition("/")
    try:
        asked = Asked(epoch, whole_number(number))
        return await in_thread(lambda: desk.receipt(asked))
    except UnknownReceipt:
        return None
