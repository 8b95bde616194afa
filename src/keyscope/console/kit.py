"""What every page works with: who asks, what was sent, and how to answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from keyscope.api.caller import Desk, call_of, in_thread
from keyscope.api.plain import read_content
from keyscope.authority.sessions import Sessions
from keyscope.console.cookie import PATH
from keyscope.console.own_page import check_own_page, is_secure
from keyscope.console.rendering import HEADERS, Templates
from keyscope.console.statics import Statics
from keyscope.console.visitor import Visitor, find_visitor
from keyscope.wire.form import MEDIA_TYPE, parse_form
from keyscope.wire.problem import Header

Form = Mapping[str, str]
Context = dict[str, Any]
Handler = Callable[[Request], Awaitable[Response]]

TOKEN_FIELD = "csrf"  # noqa: S105  (the name of a field)
LIST = "/v1/restricted_keys"
STANDARD_LIST = "/v1/apikeys"
JUDGE = "/keyscope/access/v1/evaluation"
HOLDS = "/keyscope/holds"
AUDIT = "/keyscope/audit"
USAGE = "/keyscope/usage"


class Kit:
    """One for all pages."""

    def __init__(self, desk: Desk, sessions: Sessions) -> None:
        self.desk = desk
        self.sessions = sessions
        self.secure = is_secure(desk.public_url)
        self.statics = Statics()
        self._templates = Templates(self.statics)

    async def visitor(self, request: Request) -> Visitor:
        """Who asks. Raises SignedOut and Unavailable."""
        return await find_visitor(request, self.desk, self.sessions, secure=self.secure)

    async def posted(self, request: Request) -> tuple[Visitor, Form]:
        """Who sent a form, and the form, if it is one of our own pages that sent it. Raises CrossSite and as above."""
        form = await self.form(request)
        visitor = await self.visitor(request)
        visitor.check_token(form.get(TOKEN_FIELD))
        return visitor, form

    async def form(self, request: Request) -> Form:
        """The form, if one of our own pages sent it. Raises CrossSite and BadRequest."""
        call = call_of(request)
        check_own_page(call.headers, self.desk.public_url)
        return parse_form(await read_content(self.desk, call, request.receive, MEDIA_TYPE))

    async def page(
        self, visitor: Visitor, name: str, make: Callable[[], Context], *more: Header, status: int = 200
    ) -> Response:
        """A page for a visitor. ``make`` reads what it shows; that and the writing run beside the event loop."""
        around = _around(visitor, name)
        return await self.plain_page(name, lambda: {**around, **make()}, *more, status=status)

    async def plain_page(self, name: str, make: Callable[[], Context], *more: Header, status: int = 200) -> Response:
        """A page for anybody."""
        now_ms = self.desk.clock.now_ms()
        body = await in_thread(
            lambda: self._templates.render(name, {"root": PATH, "me": None, "now_ms": now_ms, **make()})
        )
        return respond(status, body, HEADERS, *more)


def page(path: str, handler: Handler, method: str = "GET") -> Route:
    """A route below the console."""
    return Route(PATH + path, handler, methods=[method])


_NAV = (
    ("overview", "", "Overview", LIST),
    ("keys", "/keys", "Keys", LIST),
    ("holds", "/holds", "Held", HOLDS),
    ("can", "/can", "Can it?", "/keyscope/can"),
    ("audit", "/audit", "Audit", AUDIT),
)
"""The links at the top: name, path, word, and the call of the API without whose leave it is not shown."""

_AT = {
    "overview.html": "overview",
    "can.html": "can",
    "holds.html": "holds",
    "hold.html": "holds",
    "audit.html": "audit",
    "me.html": "me",
    "me_revoke.html": "me",
    "problem.html": "",
}
"""Under which link a page stands; the others stand under keys."""


def _around(visitor: Visitor, name: str) -> Context:
    """What the frame of each page shows."""
    return {
        "me": visitor.key,
        "csrf": visitor.csrf,
        "nav": [(name, path, word) for name, path, word, call in _NAV if _leads(visitor, name, call)],
        "at": _AT.get(name, "keys"),
        "types": visitor.desk.policy.resource_names,
        "sees_keys": visitor.may("GET", LIST),
        "may_mint": visitor.may("POST", LIST),
        "may_judge": visitor.may("POST", JUDGE),
    }


def _leads(visitor: Visitor, name: str, call: str) -> bool:
    return visitor.may("GET", call) and not (name == "audit" and visitor.desk.trail is None)


def respond(status: int, body: bytes, headers: tuple[Header, ...], *more: Header) -> Response:
    response = Response(body, status)
    response.raw_headers = [*headers, *more, (b"content-length", str(len(body)).encode())]
    return response


def redirect(path: str, *more: Header) -> Response:
    """Go on with a GET (303). ``path`` is one of ours, below the console, made of safe characters."""
    return respond(303, b"", ((b"location", f"{PATH}{path}".encode("ascii")), (b"cache-control", b"no-store")), *more)
