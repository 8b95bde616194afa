"""The audit trail: search by key, operation, sort and time; the newest appear by themselves while somebody looks."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import urlencode

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import one
from keyscope.authority.trail import EntryQuery, Trail, Verdict
from keyscope.console.entries import lines, visible
from keyscope.console.kit import AUDIT, Context, Kit, page
from keyscope.console.visitor import Visitor
from keyscope.errors import BadRequest, Fault, NotFound

PAGE = 50
_MOST = 1 << 53


class Search(Struct, frozen=True, kw_only=True):
    """What was asked for; empty asks for nothing. Times are as ``datetime-local`` sends them, taken as UTC."""

    key: str = ""
    operation: str = ""
    verdict: Verdict | None = None
    since: str = ""
    until: str = ""
    before: int | None = None

    def query(self, account_id: str, within: tuple[str, ...] | None) -> EntryQuery:
        return EntryQuery(
            account_id=account_id,
            limit=PAGE,
            key_id=self.key or None,
            within=within,
            operation=self.operation or None,
            verdict=self.verdict,
            since_ms=_moment("since", self.since),
            until_ms=_moment("until", self.until),
            before=self.before,
        )

    def link(self, before: int | None = None) -> str:
        """The same search, from its newest entry on or from another one."""
        asked = {"key": self.key, "operation": self.operation, "verdict": self.verdict or ""}
        times = {"since": self.since, "until": self.until, "before": str(before or "")}
        return "?" + urlencode({name: value for name, value in {**asked, **times}.items() if value})


class AuditPages:
    """``/audit``."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [page("/audit", self.show)]

    async def show(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        search = _search(request)
        visitor.require("GET", AUDIT)
        trail = self._kit.desk.trail
        if trail is None:
            raise NotFound("no trail", [Fault("audit", "this server keeps no audit trail: start it with --audit yes")])
        return await self._kit.page(visitor, "audit.html", lambda: self._context(visitor, trail, search))

    def _context(self, visitor: Visitor, trail: Trail, search: Search) -> Context:
        store = self._kit.desk.store
        query = search.query(visitor.account_id, visible(store, visitor))
        found, has_more = lines(store, trail, query)
        return {
            "search": search,
            "verdicts": list(Verdict),
            "operations": [operation.id for operation in self._kit.desk.policy.operations],
            "lines": found,
            "more": search.link(found[-1].entry.number) if has_more else None,
        }


def _search(request: Request) -> Search:
    text = {name: (one(request, name, "") or "").strip() for name in ("key", "operation", "since", "until", "before")}
    verdict, before = one(request, "verdict", "") or "", text.pop("before")
    faults = []
    if verdict and verdict not in list(Verdict):
        faults.append(Fault("verdict", "choose one of the sorts offered"))
    if before and not (before.isascii() and before.isdigit() and int(before[:17]) < _MOST):
        faults.append(Fault("before", "it is not the number of an entry"))
    if faults:
        raise BadRequest("search", faults)
    search = Search(verdict=Verdict(verdict) if verdict else None, before=int(before) if before else None, **text)
    for name in ("since", "until"):
        _moment(name, text[name])
    return search


def _moment(name: str, text: str) -> int | None:
    if not text:
        return None
    try:
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError:
        raise BadRequest("time", [Fault(name, "give a date and time, like 2027-01-31T12:00")]) from None
