"""The calls that wait: what each would do, approve and refuse. What became of others stands below."""

from __future__ import annotations

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import in_thread
from keyscope.api.requests import RevokeKey, checked
from keyscope.authority.holds import Given
from keyscope.authority.holds import Request as Kept
from keyscope.authority.ports import HeldQuery
from keyscope.console.kit import Context, Form, Kit, page, redirect
from keyscope.console.target import check_found
from keyscope.console.visitor import Visitor
from keyscope.errors import KeyscopeError
from keyscope.model.held import Held, HeldState
from keyscope.model.key import Key
from keyscope.wire.held import PATH, message_of

_SHOWN = 50
_MOST_BODY = 4000
_DEEDS = ("approve", "refuse")


class Shown(Struct, frozen=True):
    """A held call, the key that made it, and its body and answer as text, if they are text."""

    held: Held
    key: Key | None
    message: str
    body: str
    answer: str


class HoldPages:
    """``/holds``, ``/holds/{hold_id}`` and what can be done there."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._holds = kit.desk.holds
        self.routes = [
            page("/holds", self.all),
            page("/holds/{hold_id}", self.one),
            page("/holds/{hold_id}/{deed}", self.do, "POST"),
        ]

    async def all(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        visitor.require("GET", PATH)
        return await self._kit.page(visitor, "holds.html", lambda: self._list(visitor))

    async def one(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        hold_id = request.path_params["hold_id"]
        visitor.require("GET", f"{PATH}/{hold_id}")
        return await self._show(visitor, hold_id, None)

    async def do(self, request: Request) -> Response:
        """Approve what was read, whose digest the form has, or refuse it."""
        visitor, form = await self._kit.posted(request)
        hold_id, deed = request.path_params["hold_id"], request.path_params["deed"]
        check_found(deed in _DEEDS, f"no action {deed}")
        visitor.require("POST", f"{PATH}/{hold_id}/{deed}")
        try:
            await in_thread(lambda: self._decide(visitor, hold_id, deed, form))
        except KeyscopeError as error:
            if error.code != "hold_settled":
                raise
            return await self._show(visitor, hold_id, error)
        return redirect(f"/holds/{hold_id}")

    def _decide(self, visitor: Visitor, hold_id: str, deed: str, form: Form) -> None:
        reason = checked({"reason": form.get("reason", "").strip() or None}, [], RevokeKey, {}).reason
        if deed == "refuse":
            self._holds.refuse(visitor.lineage, hold_id, reason, visitor.origin)
            return
        digest = bytes.fromhex(form.get("digest", ""))
        self._holds.approve(visitor.lineage, hold_id, digest, reason, visitor.origin)

    async def _show(self, visitor: Visitor, hold_id: str, error: KeyscopeError | None) -> Response:
        def make() -> Context:
            held = self._holds.get(visitor.lineage, hold_id)
            shown = self._shown(held, self._holds.request(held), self._holds.given(held))
            return {"shown": shown, "error": error, "may_approve": visitor.key.is_standard}

        return await self._kit.page(visitor, "hold.html", make, status=200 if error is None else 409)

    def _list(self, visitor: Visitor) -> Context:
        query = HeldQuery(account_id=visitor.account_id, limit=_SHOWN)
        found, has_more = self._holds.all(visitor.lineage, query)
        shown = [self._shown(held, None, None) for held in found]
        return {
            "waiting": [one for one in shown if one.held.state is HeldState.HELD],
            "others": [one for one in shown if one.held.state is not HeldState.HELD],
            "has_more": has_more,
        }

    def _shown(self, held: Held, request: Kept | None, given: Given | None) -> Shown:
        key = self._kit.desk.store.read(lambda reader: reader.key(held.key_id))
        return Shown(held, key, message_of(held), _text(request), _text(given))


def _text(content: Kept | Given | None) -> str:
    if content is None or not content.body:
        return ""
    try:
        text = content.body.decode()
    except UnicodeDecodeError:
        return f"({len(content.body)} bytes that are no text)"
    return text if len(text) <= _MOST_BODY else f"{text[:_MOST_BODY]}…"
