"""Sign in with a key, and out. The key travels once, in the body of a POST; a random id stands for it from then on."""

from __future__ import annotations

import re

from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import call_of, in_thread
from keyscope.console import cookie
from keyscope.console.kit import TOKEN_FIELD, Kit, page, redirect
from keyscope.console.visitor import SignedOut
from keyscope.errors import DerivedKey, InvalidToken, KeyscopeError
from keyscope.gate.admit import attempt_of
from keyscope.model.key import Lineage
from keyscope.wire.call import Call

_NEXT = re.compile(r"(?:/[\w\-/]*)?(?:\?[\w\-=&.%+:]*)?", re.ASCII)
"""Below the console, so that nobody is led elsewhere, and of characters that no header can be broken with."""


class EntrancePages:
    """``/sign-in`` and ``/sign-out``."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [
            page("/sign-in", self.show),
            page("/sign-in", self.sign_in, "POST"),
            page("/sign-out", self.sign_out, "POST"),
        ]

    async def show(self, request: Request) -> Response:
        """The form; or on, for who is signed in."""
        try:
            await self._kit.visitor(request)
        except SignedOut:
            return await self._form(request, None, 200)
        return redirect(_next(request))

    async def sign_in(self, request: Request) -> Response:
        form = await self._kit.form(request)
        try:
            lineage = self._live(form.get("key", "").strip(), call_of(request))
        except (InvalidToken, DerivedKey) as error:
            return await self._form(request, error, 403)
        before = cookie.read(call_of(request).headers, self._kit.secure)
        session_id = await in_thread(lambda: self._kit.sessions.open(lineage, before))
        return redirect(_next(request), cookie.give(session_id, self._kit.secure))

    async def sign_out(self, request: Request) -> Response:
        visitor, _ = await self._kit.posted(request)
        await in_thread(lambda: self._kit.sessions.end(visitor.session))
        return redirect("/sign-in", cookie.take(self._kit.secure))

    def _live(self, text: str, call: Call) -> Lineage:
        lineage = self._kit.desk.verifier.live(text.encode(), attempt_of(call))
        if lineage.derived:
            raise DerivedKey("sign-in")
        return lineage

    async def _form(self, request: Request, error: KeyscopeError | None, status: int) -> Response:
        sites = [value for name, value in call_of(request).headers if name == b"sec-fetch-site"]
        following = _next(request)
        context = {
            "error": error,
            "next": following,
            # A strict cookie is left out when a link of another site was followed, although there is a session.
            "came_by_link": sites == [b"cross-site"],
            "token_field": TOKEN_FIELD,
        }
        return await self._kit.plain_page("sign_in.html", lambda: context, status=status)


def _next(request: Request) -> str:
    text = request.query_params.get("next", "")
    return text if _NEXT.fullmatch(text) and not text.startswith("/sign-") else ""
