"""The console as one ASGI application: its routes, and pages in place of what the API answers as problem details."""

from __future__ import annotations

import logging
from http import HTTPStatus
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import Desk
from keyscope.authority.explain import Explanation, explain
from keyscope.authority.sessions import Sessions
from keyscope.console import cookie
from keyscope.console.asking import AskingPages
from keyscope.console.audit_page import AuditPages
from keyscope.console.changing import ChangePages
from keyscope.console.entrance import EntrancePages
from keyscope.console.holds_page import HoldPages
from keyscope.console.key_list import KeyListPages
from keyscope.console.key_page import KeyPages
from keyscope.console.kit import Context, Kit, page, redirect
from keyscope.console.life import LifePages
from keyscope.console.minting import MintPages
from keyscope.console.overview import OverviewPages
from keyscope.console.own_key import OwnKeyPages
from keyscope.console.receipts import ReceiptPages
from keyscope.console.visitor import Denied, SignedOut
from keyscope.errors import (
    InsufficientScope,
    InternalError,
    InvalidToken,
    KeyscopeError,
    MethodNotAllowed,
    NotFound,
    Unavailable,
)
from keyscope.wire.asgi import Receive, Scope, Send
from keyscope.wire.problem import STATUSES

log = logging.getLogger(__name__)

_PAGES = (
    EntrancePages,
    OverviewPages,
    OwnKeyPages,
    KeyListPages,
    MintPages,
    ChangePages,
    KeyPages,
    LifePages,
    AskingPages,
    HoldPages,
    AuditPages,
    ReceiptPages,
)


class Console:
    """Answers for ``/keyscope/console`` and everything below it."""

    def __init__(self, desk: Desk, sessions: Sessions) -> None:
        self._kit = Kit(desk, sessions)
        routes = [route for pages in _PAGES for route in pages(self._kit).routes]
        self._app = Starlette(
            routes=[*routes, page("/static/{name}", self._kit.statics.get)],
            exception_handlers={
                SignedOut: self._signed_out,
                Denied: self._denied,
                KeyscopeError: self._refused,
                HTTPException: self._not_routed,
                Exception: self._broken,
            },
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def _signed_out(self, request: Request, error: Exception) -> Response:
        """To the form, and from there back to where the visitor wanted to go."""
        assert isinstance(error, SignedOut)  # noqa: S101  (registered for this type alone)
        wanted = request.url.path.removeprefix(cookie.PATH)
        query = f"?{request.url.query}" if request.url.query else ""
        following = f"?next={quote(wanted + query)}" if request.method == "GET" and wanted + query else ""
        gone = [cookie.take(self._kit.secure)] if error.had_one else []
        return redirect(f"/sign-in{following}", *gone)

    async def _denied(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, Denied)  # noqa: S101  (registered for this type alone)
        explained = explain(error.decision, error.method, error.path)
        return await self._problem(request, InsufficientScope(), HTTPStatus.FORBIDDEN, explained)

    async def _refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, KeyscopeError)  # noqa: S101  (registered for this type alone)
        if isinstance(error, InvalidToken):  # the session's key ended between the door and the deed
            return await self._signed_out(request, SignedOut(had_one=True))
        if isinstance(error, Unavailable):
            log.error("unavailable: %s", error.detail)
        return await self._problem(request, error, STATUSES[type(error)])

    async def _not_routed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  (registered for this type alone)
        known = error.status_code != HTTPStatus.METHOD_NOT_ALLOWED
        return await self._refused(request, NotFound() if known else MethodNotAllowed())

    async def _broken(self, request: Request, error: Exception) -> Response:
        log.error("a page of the console failed", exc_info=error)
        return await self._problem(request, InternalError(), HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _problem(
        self, request: Request, error: KeyscopeError, status: HTTPStatus, explained: Explanation | None = None
    ) -> Response:
        """The refusal as a page, in the frame of the visitor, if there is one."""
        context: Context = {"error": error, "explained": explained}
        try:
            visitor = await self._kit.visitor(request)
        except (SignedOut, KeyscopeError):
            return await self._kit.plain_page("problem.html", lambda: context, status=status)
        return await self._kit.page(visitor, "problem.html", lambda: context, status=status)
