"""The visitor's own key: what it is and may do. Every key may see this page, and end itself here."""

from __future__ import annotations

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.taking import taken
from keyscope.console import cookie
from keyscope.console.kit import Context, Kit, page, redirect
from keyscope.console.summary import summary
from keyscope.console.visitor import Visitor
from keyscope.policy.linter import remarks


class OwnKeyPages:
    """``/me`` and ``/me/revoke``."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [
            page("/me", self.show),
            page("/me/revoke", self.ask),
            page("/me/revoke", self.revoke, "POST"),
        ]

    async def show(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        visitor.require("GET", "/keyscope/me")
        return await self._kit.page(visitor, "me.html", lambda: self._context(visitor))

    async def ask(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        visitor.require("POST", "/keyscope/me/revoke")
        return await self._kit.page(visitor, "me_revoke.html", dict)

    async def revoke(self, request: Request) -> Response:
        visitor, _ = await self._kit.posted(request)
        visitor.require("POST", "/keyscope/me/revoke")
        revoke, key = self._kit.desk.lifecycle.revoke, visitor.key
        end = partial(revoke, visitor.lineage, key.kind, key.id, "by itself", visitor.origin)
        _, receipt = await taken(end)
        gone = cookie.take(self._kit.secure)
        if receipt is None:
            return redirect("/sign-in", gone)
        return await self._kit.plain_page("ended.html", lambda: {"name": key.name, "receipt": receipt}, gone)

    def _context(self, visitor: Visitor) -> Context:
        policy, grant = self._kit.desk.policy, visitor.lineage.grant
        return {
            "lineage": visitor.lineage,
            "session": visitor.session,
            "summary": summary(policy, grant),
            "remarks": remarks(policy, grant.scopes()) if grant is not None else (),
        }
