"""``GET /keyscope/receipts/{epoch}/{number}``: how it stands with what was taken from a key (decision 26)."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Desk, admitted, call_of, in_thread
from keyscope.api.documented import RECEIPT_PARAMETERS, responses
from keyscope.api.replies.receipt import ReceiptView, receipt_view
from keyscope.authority.receipts import Asked
from keyscope.errors import UnknownReceipt
from keyscope.wire.asgi import RawHeaders
from keyscope.wire.codec import encode
from keyscope.wire.prefer import preferred_wait_ms

_LONGEST = 18
"""Digits of a number; a longer one is of no change."""


class ReceiptRoutes:
    """Any node answers for every change, and any key may ask: who has a receipt knows the names in it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.router = APIRouter(prefix="/keyscope", tags=["keyscope"])
        self.router.add_api_route(
            "/receipts/{epoch}/{number}", self.get, methods=["GET"], operation_id="getReceipt",
            openapi_extra={"parameters": RECEIPT_PARAMETERS},
            responses={304: {"description": "It is the one that is known."}, **responses(ReceiptView, 400, 401, 404)},
        )  # fmt: skip

    async def get(self, request: Request, epoch: str, number: str) -> Response:
        """Which nodes have a change by now, and by when the others will have closed themselves."""
        admitted(request, self._desk)
        headers = call_of(request).headers
        asked = Asked(epoch, whole_number(number), preferred_wait_ms(headers) or 0, _known(headers))
        receipt = await in_thread(lambda: self._desk.receipt(asked))
        fields = {"etag": f'"{receipt.tag}"', "cache-control": "no-store"}
        if receipt.tag == asked.known:
            return Response(status_code=304, headers=fields)
        return Response(encode(receipt_view(receipt)), media_type="application/json", headers=fields)


def whole_number(number: str) -> int:
    """Raises UnknownReceipt."""
    if not (number.isascii() and number.isdigit() and len(number) <= _LONGEST):
        raise UnknownReceipt(number)
    return int(number)


def _known(headers: RawHeaders) -> str | None:
    """The tag that is known (RFC 9110 section 13.1.2). A field in another form names none of ours."""
    return next((value.decode("latin-1").strip('"') for name, value in headers if name == b"if-none-match"), None)
