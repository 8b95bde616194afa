"""Change a key: its name, its end, its scopes. Narrowing is the same with nothing to choose but less."""

from __future__ import annotations

from functools import partial
from typing import Any

from msgspec import UNSET
from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import in_thread, one
from keyscope.api.requests import UpdateApiKey, UpdateRestrictedKey, checked
from keyscope.api.taking import taken
from keyscope.authority.lifecycle import Change
from keyscope.console import grid
from keyscope.console.kit import Context, Form, Kit, page
from keyscope.console.lifetime import KEEP, LENGTHS, read_expiry
from keyscope.console.minting import advice
from keyscope.console.needed import Needed
from keyscope.console.receipts import to_key, wait_of
from keyscope.console.restricted import FIELD, chosen, lines_of, typed_in
from keyscope.console.spare import needed_of
from keyscope.console.target import Target, find_target
from keyscope.console.visitor import Visitor
from keyscope.errors import BadRequest, ExceedsParent, KeyscopeError
from keyscope.model.key import Lineage
from keyscope.model.scope import Grant, Scope
from keyscope.model.token import Kind

_DO, _SAVE, _SUGGEST = "do", "save", "suggest"


class ChangePages:
    """``/keys/{key_id}/change`` and ``/keys/{key_id}/narrow``."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [
            page("/keys/{key_id}/change", self.show_change),
            page("/keys/{key_id}/change", self.change, "POST"),
            page("/keys/{key_id}/narrow", self.show_narrow),
            page("/keys/{key_id}/narrow", self.narrow, "POST"),
        ]

    async def show_change(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        return await self._form(visitor, await find_target(request, visitor, ""), "change.html", {})

    async def show_narrow(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        wish = {_DO: _SUGGEST} if one(request, _DO) == _SUGGEST else {}
        return await self._form(visitor, await find_target(request, visitor, "/narrow"), "narrow.html", wish)

    async def change(self, request: Request) -> Response:
        visitor, form = await self._kit.posted(request)
        target = await find_target(request, visitor, "")
        if form.get(_DO) != _SAVE:
            return await self._form(visitor, target, "change.html", form)
        try:
            return await self._apply(visitor, target, form)
        except (BadRequest, ExceedsParent) as error:
            return await self._form(visitor, target, "change.html", form, error)

    async def narrow(self, request: Request) -> Response:
        visitor, form = await self._kit.posted(request)
        target = await find_target(request, visitor, "/narrow")
        if form.get(_DO) != _SAVE:
            return await self._form(visitor, target, "narrow.html", form)
        try:
            return await self._narrow(visitor, target, form)
        except (BadRequest, ExceedsParent) as error:
            return await self._form(visitor, target, "narrow.html", form, error)

    async def _narrow(self, visitor: Visitor, target: Target, form: Form) -> Response:
        scopes, key = grid.read_scopes(form, self._kit.desk.policy), target.key
        narrow = partial(self._kit.desk.tightening.narrow, visitor.lineage, key.id, scopes, visitor.origin)
        detail, receipt = await taken(narrow, wait_of(form, visitor, key.id))
        return to_key(key.id, "narrowed" if detail.lineage.key != key else "unchanged", receipt)

    async def _apply(self, visitor: Visitor, target: Target, form: Form) -> Response:
        change, key = self._change(target, form), target.key
        update = partial(self._kit.desk.lifecycle.update, visitor.lineage, key.kind, key.id, change, visitor.origin)
        detail, receipt = await taken(update, wait_of(form, visitor, key.id))
        return to_key(key.id, "changed" if detail.lineage.key != key else "unchanged", receipt)

    def _change(self, target: Target, form: Form) -> Change:
        asked: dict[str, Any] = {"name": form.get("name", "").strip()}
        keeps = form.get("expires", KEEP) == KEEP
        if not keeps:
            asked["expires_at_ms"] = read_expiry(form, self._kit.desk.clock.now_ms())
        model = UpdateApiKey if target.key.kind is Kind.STANDARD else UpdateRestrictedKey
        if model is UpdateRestrictedKey:
            asked["restrictions"] = typed_in(form)
        sound = checked(asked, [], model, self._kit.desk.context)
        restrictions = sound.restrictions if isinstance(sound, UpdateRestrictedKey) else None
        scopes = grid.read_scopes(form, self._kit.desk.policy)
        keeps_scopes = target.key.kind is Kind.STANDARD or Grant(scopes) == Grant(target.key.scopes)
        return Change(
            name=sound.name,
            scopes=UNSET if keeps_scopes else scopes,
            expires_at_ms=UNSET if keeps else sound.expires_at_ms,
            restrictions=UNSET if restrictions == target.key.restrictions else restrictions,
        )

    async def _form(
        self, visitor: Visitor, target: Target, name: str, form: Form, error: KeyscopeError | None = None
    ) -> Response:
        suggested = await self._suggested(visitor, target) if name == "narrow.html" else None
        most = self._most(visitor.lineage, target) if name == "change.html" else Grant(target.key.scopes)
        scopes = grid.read_scopes(form, self._kit.desk.policy) if _DO in form else target.key.scopes
        if form.get(_DO) == _SUGGEST and suggested is not None:
            scopes = suggested.suggested
        changes = name == "change.html" and _DO in form
        restrictions = chosen(form) if changes else target.key.restrictions
        context: Context = {
            "target": target,
            "needed": suggested,
            "form": form,
            "error": error,
            "lengths": LENGTHS,
            "expires": form.get("expires", KEEP),
            "rows": grid.rows(self._kit.desk.policy, scopes, most),
            "lost": _lost(target, scopes),
            "restrictions": form.get(FIELD, "") if _DO in form else lines_of(target.key.restrictions),
            **advice(self._kit, scopes, most, restrictions),
        }
        return await self._kit.page(visitor, name, lambda: context, status=200 if error is None else 400)

    async def _suggested(self, visitor: Visitor, target: Target) -> Needed | None:
        return await in_thread(lambda: needed_of(visitor, target))

    def _most(self, actor: Lineage, target: Target) -> Grant | None:
        """The most that law 2 lets the visitor choose: within its own grant, and within the parent's."""
        above = [actor.grant, target.lineage.parent.grant if target.lineage.parent is not None else None]
        bounds = [grant for grant in above if grant is not None]
        return bounds[0].meet(bounds[-1]) if bounds else None


def _lost(target: Target, scopes: tuple[Scope, ...]) -> tuple[Scope, ...]:
    """What the key has and would have no longer."""
    return Grant(scopes).missing(Grant(target.key.scopes).scopes())
