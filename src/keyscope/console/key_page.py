"""One key: its state, what it may do in words, what stands above and below it, and what can be done to it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import one
from keyscope.console.kit import Context, Kit, page
from keyscope.console.summary import summary
from keyscope.console.target import Target, actions, below, find_target
from keyscope.console.visitor import Visitor
from keyscope.policy.linter import remarks

NOTICES = {
    "changed": "Changed. It holds from the next request on.",
    "narrowed": "Narrowed. It holds from the next request on.",
    "suspended": "Suspended, with everything below it. No gate accepts it.",
    "resumed": "Resumed.",
    "undeleted": "Brought back, with what died with it.",
    "unchanged": "Nothing was different, so nothing was changed.",
}
"""What was done on the page before; by these words alone, so that a link cannot put others here."""


class KeyPages:
    """``/keys/{key_id}``."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [page("/keys/{key_id}", self.show)]

    async def show(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        target = await find_target(request, visitor)
        notice = NOTICES.get(one(request, "done", "") or "")
        return await self._kit.page(visitor, "key.html", lambda: self._context(visitor, target, notice))

    def _context(self, visitor: Visitor, target: Target, notice: str | None) -> Context:
        policy, grant = self._kit.desk.policy, target.lineage.grant
        return {
            "target": target,
            "notice": notice,
            "actions": actions(visitor, target),
            "below": below(self._kit.desk.store, target),
            "summary": summary(policy, grant),
            "remarks": remarks(policy, grant.scopes()) if grant is not None else (),
        }
