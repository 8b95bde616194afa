"""Rotate, suspend, resume, revert, observe, revoke, undelete: first a page that says what it means, then the deed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import call_of, in_thread
from keyscope.api.plain import base_url
from keyscope.api.requests import RevokeKey, checked
from keyscope.api.taking import taken
from keyscope.authority.lookup import Detail
from keyscope.authority.rotate import Rotated
from keyscope.console.kit import Context, Form, Kit, page, redirect
from keyscope.console.minting import Made
from keyscope.console.once import counting_once
from keyscope.console.receipts import to_key, wait_of
from keyscope.console.target import Target, below, check_found, find_target, living_below
from keyscope.console.visitor import Visitor
from keyscope.console.words import DAY_MS, HOUR_MS, MINUTE_MS
from keyscope.errors import BadRequest, Fault

OVERLAPS = {
    "0": (0, "End it now"),
    "10m": (10 * MINUTE_MS, "10 minutes"),
    "1h": (HOUR_MS, "1 hour"),
    "1d": (DAY_MS, "1 day"),
}
"""How long an old secret goes on working."""

OBSERVED = {"1h": (HOUR_MS, "1 hour"), "1d": (DAY_MS, "1 day"), "7d": (7 * DAY_MS, "7 days")}
"""How long a key is observed."""
END = "end"

_Deed = Callable[[Request, Visitor, Target, Form], Awaitable[Response]]


class LifePages:
    """``/keys/{key_id}/{action}``, for each of the actions."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._deeds: Mapping[str, _Deed] = {
            "rotate": self._rotate,
            "suspend": self._suspend,
            "resume": self._resume,
            "revert": self._revert,
            "observe": self._observe,
            "revoke": self._revoke,
            "undelete": self._undelete,
        }
        self.routes = [
            page("/keys/{key_id}/{action}", self.ask),
            page("/keys/{key_id}/{action}", self.do, "POST"),
        ]

    async def ask(self, request: Request) -> Response:
        """What the action means for this key, and for those below it."""
        action = self._action(request)
        visitor = await self._kit.visitor(request)
        target = await find_target(request, visitor, f"/{action}")
        return await self._confirm(visitor, target, action, None)

    async def do(self, request: Request) -> Response:
        action = self._action(request)
        visitor, form = await self._kit.posted(request)
        target = await find_target(request, visitor, f"/{action}")
        try:
            return await self._deeds[action](request, visitor, target, form)
        except BadRequest as error:
            return await self._confirm(visitor, target, action, error)

    def _action(self, request: Request) -> str:
        action: str = request.path_params["action"]
        check_found(action in self._deeds, f"no action {action}")
        return action

    async def _confirm(self, visitor: Visitor, target: Target, action: str, error: BadRequest | None) -> Response:
        def make() -> Context:
            found = below(self._kit.desk.store, target)
            return {
                "target": target,
                "action": action,
                "error": error,
                "below": found,
                "living": living_below(found, self._kit.desk.clock.now_ms()),
                "is_me": target.key.id in visitor.lineage.ids,
                "overlaps": OVERLAPS,
                "lengths": OBSERVED,
                "observed": target.key.is_observed_at(self._kit.desk.clock.now_ms()),
                "once": self._kit.sessions.token(),
            }

        return await self._kit.page(visitor, "confirm.html", make, status=200 if error is None else 400)

    async def _rotate(self, request: Request, visitor: Visitor, target: Target, form: Form) -> Response:
        overlap = OVERLAPS.get(form.get("overlap", ""))
        if overlap is None:
            raise BadRequest("overlap", [Fault("overlap", "choose one of the times offered")])
        rotate, key = self._kit.desk.rotation.rotate, target.key
        url = base_url(self._kit.desk, call_of(request).headers)
        repeat = counting_once(form, f"rotate {key.id}", self._kit.sessions.token())
        raw, receipt = await taken(
            lambda: rotate(visitor.lineage, key.kind, key.id, overlap[0], visitor.origin, _shown, repeat),
            wait_of(form, visitor, key.id),
        )
        shown = msgspec.json.decode(raw, type=_Shown)
        context = {
            "made": shown.made,
            "url": url,
            "policy": self._kit.desk.policy.name,
            "old_until_ms": shown.old_until_ms,
            "receipt": receipt,
        }
        return await self._kit.page(visitor, "secret.html", lambda: context)

    async def _suspend(self, _: Request, visitor: Visitor, target: Target, form: Form) -> Response:
        suspend, key, reason = self._kit.desk.lifecycle.suspend, target.key, _reason(form)
        stop = partial(suspend, visitor.lineage, key.kind, key.id, reason, visitor.origin)
        return await self._taking(stop, "suspended", visitor, target, form)

    async def _resume(self, _: Request, visitor: Visitor, target: Target, form: Form) -> Response:
        resume, key = self._kit.desk.lifecycle.resume, target.key
        await in_thread(lambda: resume(visitor.lineage, key.kind, key.id, visitor.origin))
        return redirect(f"/keys/{key.id}?done=resumed")

    async def _revert(self, _: Request, visitor: Visitor, target: Target, form: Form) -> Response:
        revert, key = self._kit.desk.tightening.revert, target.key
        give_back = partial(revert, visitor.lineage, key.id, visitor.origin)
        return await self._taking(give_back, "reverted", visitor, target, form)

    async def _observe(self, _: Request, visitor: Visitor, target: Target, form: Form) -> Response:
        word, observe, key = form.get("length", ""), self._kit.desk.tightening.observe, target.key
        if word != END and word not in OBSERVED:
            raise BadRequest("length", [Fault("length", "choose one of the times offered")])
        until_ms = None if word == END else self._kit.desk.clock.now_ms() + OBSERVED[word][0]
        change = partial(observe, visitor.lineage, key.id, until_ms, visitor.origin)
        return await self._taking(change, "enforced" if word == END else "observed", visitor, target, form)

    async def _taking(
        self, work: Callable[[], Detail], done: str, visitor: Visitor, target: Target, form: Form
    ) -> Response:
        _, receipt = await taken(work, wait_of(form, visitor, target.key.id))
        return to_key(target.key.id, done, receipt)

    async def _undelete(self, _: Request, visitor: Visitor, target: Target, form: Form) -> Response:
        undelete, key = self._kit.desk.lifecycle.undelete, target.key
        await in_thread(lambda: undelete(visitor.lineage, key.kind, key.id, visitor.origin))
        return redirect(f"/keys/{key.id}?done=undeleted")

    async def _revoke(self, _: Request, visitor: Visitor, target: Target, form: Form) -> Response:
        """The answer shows what died with it. Sending the form again changes nothing."""
        revoke, key, reason = self._kit.desk.lifecycle.revoke, target.key, _reason(form)
        end = partial(revoke, visitor.lineage, key.kind, key.id, reason, visitor.origin)
        revoked, receipt = await taken(end, wait_of(form, visitor, key.id))

        def make() -> Context:
            found = below(self._kit.desk.store, target)
            return {"target": target, "revoked": revoked, "below": found, "receipt": receipt}

        return await self._kit.page(visitor, "revoked.html", make)


class _Shown(msgspec.Struct):
    made: Made
    old_until_ms: int


def _shown(rotated: Rotated) -> bytes:
    key = rotated.key
    made = Made(key.id, key.name, key.kind, rotated.secret.reveal(), [*map(str, key.scopes)], key.expires_at_ms)
    return msgspec.json.encode(_Shown(made, rotated.old_until_ms))


def _reason(form: Form) -> str | None:
    asked: dict[str, Any] = {"reason": form.get("reason", "").strip() or None}
    return checked(asked, [], RevokeKey, {}).reason
