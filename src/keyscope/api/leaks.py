"""Reports of leaked keys: by a program that holds a key of the account, and by GitHub, which signs what it sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256

from fastapi import APIRouter, Request
from fastapi.responses import Response

from keyscope.api.caller import Desk, admitted, call_of, give_way, json_reply, read
from keyscope.api.documented import BODY, WAITING, refusals, responses
from keyscope.api.replies.leaks import FeedbackList, LeaksTaken, leak_view
from keyscope.api.requests import ReportLeaks
from keyscope.api.taking import taking, wait_of
from keyscope.authority.leaks import Ended, Policy, Reported
from keyscope.errors import InvalidToken, NotFound, TooManyReports
from keyscope.leaks.github import IDENTIFIER, SIGNATURE, Match, check_signature, feedback, read_matches, read_signature
from keyscope.leaks.published import SigningKeys
from keyscope.model.event import Origin
from keyscope.model.key import Lineage
from keyscope.model.shapes import redacted
from keyscope.wire.body import read_bytes
from keyscope.wire.call import request_id

GITHUB = "/keyscope/leaks/github"
MOST_BYTES = 8 << 20
"""The largest report; 10,000 matches take about four million bytes."""
AT_ONCE = 8
"""Reports that one process reads at the same time. They are read whole before their signature can be checked."""

_BY_OWNER = Policy("report", revoke=True, once=False)


class LeakRoutes:
    """``/keyscope/leaks`` and ``/keyscope/leaks/github``. ``keys`` None: GitHub's reports are not taken."""

    def __init__(self, desk: Desk, keys: SigningKeys | None, *, revoke: bool) -> None:
        self._desk = desk
        self._keys = keys
        self._by_github = Policy("github", revoke=revoke, once=True)
        self._reading = 0
        self.router = APIRouter(tags=["keyscope"])
        add = self.router.add_api_route
        add("/keyscope/leaks", self.report, methods=["POST"], operation_id="reportLeaks",
            openapi_extra=BODY(ReportLeaks, required=True) | WAITING,
            responses=responses(LeaksTaken, 400, 401, 403, 413, 415))  # fmt: skip
        add(GITHUB, self.github, methods=["POST"], operation_id="reportLeaksFromGitHub",
            openapi_extra={"parameters": [_header(IDENTIFIER), _header(SIGNATURE)], **_MATCHES},
            responses={200: {"model": FeedbackList}, **refusals(400, 404, 413)})  # fmt: skip

    async def report(self, request: Request) -> Response:
        """Report keys of the account as leaked: what is still good of them ends at once."""
        desk, caller = self._desk, admitted(request, self._desk)
        asked, _ = await read(request, desk, ReportLeaks)
        account_id = caller.lineage.key.account_id
        found = [self._find(leak.key) for leak in asked.leaks]
        own = [lineage if lineage and lineage.key.account_id == account_id else None for lineage in found]
        reports = [_reported(lineage, leak.key, leak.where) for lineage, leak in zip(own, asked.leaks, strict=True)]
        ended, receipt = await taking(self._work(reports, _BY_OWNER, caller.origin), wait_of(request, caller))
        return json_reply({"results": [leak_view(*pair) for pair in zip(own, ended, strict=True)], **receipt})

    async def github(self, request: Request) -> Response:
        """Take a report of GitHub's secret scanning. It needs no key: GitHub's signature is checked."""
        if self._keys is None:
            raise NotFound("GitHub's reports are not taken")
        call = call_of(request)
        signed = read_signature(call.headers)
        key = await self._keys.find(signed.identifier)
        with self._place():
            body = await read_bytes(request.receive, call.headers, MOST_BYTES, self._desk.body_timeout_s)
            await asyncio.to_thread(check_signature, signed, key, body)
            matches = read_matches(body)
            found = await self._find_all(matches)
            reports = [
                _reported(lineage, match.token, match.where) for lineage, match in zip(found, matches, strict=True)
            ]
            origin = Origin(peer=call.peer, request_id=request_id(call.headers))
            await taking(self._work(reports, self._by_github, origin))
            return json_reply(feedback(matches, (lineage is not None for lineage in found)))

    @contextmanager
    def _place(self) -> Iterator[None]:
        """A place among those that are read. Raises TooManyReports."""
        if self._reading >= AT_ONCE:
            raise TooManyReports
        self._reading += 1
        try:
            yield
        finally:
            self._reading -= 1

    async def _find_all(self, matches: Sequence[Match]) -> list[Lineage | None]:
        found = []
        for number, match in enumerate(matches):
            await give_way(number)
            found.append(self._find(match.token))
        return found

    def _find(self, text: str) -> Lineage | None:
        """The key that a text is or ever was a secret of. Raises Unavailable."""
        try:
            return self._desk.verifier.stored(text.encode("utf-8", "replace"))
        except InvalidToken:
            return None

    def _work(
        self, reports: Sequence[Reported | None], policy: Policy, origin: Origin
    ) -> Callable[[], list[Ended | None]]:
        """Finds what each report ended. A text that stands there often is looked at once."""
        different = {report.digest: report for report in reports if report is not None}

        def work() -> list[Ended | None]:
            ended = self._desk.leaks.report(list(different.values()), policy, origin)
            by_digest = dict(zip(different, ended, strict=True))
            return [by_digest[report.digest] if report is not None else None for report in reports]

        return work


def _reported(lineage: Lineage | None, text: str, where: str | None) -> Reported | None:
    if lineage is None:
        return None
    return Reported(lineage, sha256(text.encode()).digest(), redacted(where) if where else None)


def _header(name: bytes) -> dict[str, object]:
    return {"name": name.decode().title(), "in": "header", "required": True, "schema": {"type": "string"}}


_TEXT = {"type": "string"}
_MATCH = {
    "type": "object",
    "required": ["token", "type"],
    "properties": {"token": _TEXT, "type": _TEXT, "url": _TEXT, "source": _TEXT},
}
_MATCHES = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"type": "array", "items": _MATCH}}},
    }
}
