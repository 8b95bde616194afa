"""All keys, newest first: search by name, filter by kind, state and resource type, page by page."""

from __future__ import annotations

from urllib.parse import urlencode

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import one
from keyscope.authority.ports import KeyQuery
from keyscope.console.kit import LIST, STANDARD_LIST, Context, Kit, page
from keyscope.console.visitor import Visitor
from keyscope.errors import BadRequest, Fault
from keyscope.model.key import State
from keyscope.model.token import Kind

PAGE = 25
_PATHS = {Kind.RESTRICTED: LIST, Kind.STANDARD: STANDARD_LIST}


class Filters(Struct, frozen=True, kw_only=True):
    """What was asked for; empty asks for nothing."""

    kind: Kind = Kind.RESTRICTED
    q: str = ""
    status: State | None = None
    resource: str = ""
    created_by: str = ""
    after: str = ""

    def query(self, account_id: str, now_ms: int) -> KeyQuery:
        return KeyQuery(
            account_id=account_id,
            kind=self.kind,
            now_ms=now_ms,
            limit=PAGE,
            starting_after=self.after or None,
            name=self.q or None,
            status=self.status,
            resource=self.resource or None,
            created_by=self.created_by or None,
        )

    def link(self, **changes: str) -> str:
        """The same list with something else; from its first page, unless ``after`` is given."""
        kept = {"kind": self.kind.value, "q": self.q, "status": self.status or "", "resource": self.resource}
        asked = {**kept, "created_by": self.created_by, "after": "", **changes}
        return "?" + urlencode({name: value for name, value in asked.items() if value})


class KeyListPages:
    """``/keys``."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [page("/keys", self.show)]

    async def show(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        filters = self._filters(request)
        visitor.require("GET", _PATHS[filters.kind])
        return await self._kit.page(visitor, "keys.html", lambda: self._context(visitor, filters))

    def _context(self, visitor: Visitor, filters: Filters) -> Context:
        desk = self._kit.desk
        page, details = desk.lifecycle.list(filters.query(visitor.account_id, desk.clock.now_ms()))
        return {
            "filters": filters,
            "kinds": [kind for kind in Kind if visitor.may("GET", _PATHS[kind])],
            "states": list(State),
            "resources": desk.policy.resource_names,
            "page": page,
            "details": details,
            "more": filters.link(after=details[-1].lineage.key.id) if page.has_more else None,
        }

    def _filters(self, request: Request) -> Filters:
        status, kind = one(request, "status", ""), one(request, "kind", "") or Kind.RESTRICTED.value
        resource = one(request, "resource", "") or ""
        if resource and resource not in self._kit.desk.policy.resource_names:
            raise BadRequest("filter", [Fault("resource", "choose a resource type of the policy")])
        try:
            return Filters(
                kind=Kind(kind),
                q=one(request, "q", "") or "",
                status=State(status) if status else None,
                resource=resource,
                created_by=one(request, "created_by", "") or "",
                after=one(request, "after", "") or "",
            )
        except ValueError:
            raise BadRequest("filter", [Fault("query", "choose one of the filters offered")]) from None
