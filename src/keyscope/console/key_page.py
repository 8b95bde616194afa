"""One key: its state, what it may do in words, what stands above and below it, and what can be done to it."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from keyscope.api.caller import one
from keyscope.authority.trail import EntryQuery, Trail, UseQuery
from keyscope.console.entries import lines, trail_of, uses_of, visible
from keyscope.console.heat import Heat, heat, since_ms
from keyscope.console.kit import Context, Kit, page
from keyscope.console.receipts import named
from keyscope.console.restricted import sentences
from keyscope.console.spare import needed_of
from keyscope.console.summary import summary
from keyscope.console.target import Target, actions, below, find_target
from keyscope.console.visitor import Visitor
from keyscope.console.words import HOUR_MS
from keyscope.policy.linter import remarks

_ENTRIES = 10

NOTICES = {
    "changed": "Changed.",
    "narrowed": "Narrowed.",
    "suspended": "Suspended, with everything below it.",
    "resumed": "Resumed.",
    "reverted": "It has the scopes back that it was narrowed from.",
    "observed": "Observed: what it lacks of its own scopes is recorded, and not refused.",
    "enforced": "Observed no longer: its scopes bind it again.",
    "undeleted": "Brought back, with what died with it.",
    "unchanged": "Nothing was different, so nothing was changed.",
}
"""What was done on the page before; by these words alone, so that a link cannot put others here."""
_AT_ONCE = frozenset({"changed", "narrowed", "suspended"})


class KeyPages:
    """``/keys/{key_id}``."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self.routes = [page("/keys/{key_id}", self.show)]

    async def show(self, request: Request) -> Response:
        visitor = await self._kit.visitor(request)
        target = await find_target(request, visitor)
        shown = {"notice": _notice(request), "receipt": await named(request, self._kit.desk)}
        return await self._kit.page(visitor, "key.html", lambda: {**shown, **self._context(visitor, target)})

    def _context(self, visitor: Visitor, target: Target) -> Context:
        policy, grant = self._kit.desk.policy, target.lineage.grant
        return {
            "target": target,
            "actions": actions(visitor, target),
            "observed": target.key.is_observed_at(self._kit.desk.clock.now_ms()),
            "below": below(self._kit.desk.store, target),
            **self._used(visitor, target),
            "bounds": [(bound.holder, [*sentences(bound.restrictions)]) for bound in target.lineage.bounds],
            "summary": summary(policy, grant),
            "remarks": remarks(policy, grant.scopes(), target.key.restrictions) if grant is not None else (),
        }

    def _used(self, visitor: Visitor, target: Target) -> Context:
        """When and for what it was used, and what was done to it and refused, as far as the visitor may see that."""
        desk, key_id = self._kit.desk, target.key.id
        within = visible(desk.store, visitor)
        if within is not None and key_id not in within:
            return {"heat": None, "needed": None, "lines": None}
        trail, uses = trail_of(visitor), uses_of(visitor)
        query = EntryQuery(account_id=visitor.account_id, limit=_ENTRIES, key_id=key_id, within=within)
        return {
            "heat": _heat(uses, target, desk.clock.now_ms()) if uses is not None else None,
            "needed": needed_of(visitor, target),
            "lines": lines(desk.store, trail, query)[0] if trail is not None else None,
        }


def _notice(request: Request) -> str | None:
    done = one(request, "done", "") or ""
    # Of several nodes it is the receipt that says where it holds.
    holds = done in _AT_ONCE and one(request, "receipt") is None
    return f"{NOTICES[done]} It holds from the next request on." if holds else NOTICES.get(done)


def _heat(trail: Trail, target: Target, now_ms: int) -> Heat:
    since, key = since_ms(now_ms), target.key
    query = UseQuery(account_id=key.account_id, key_ids=(key.id,), since_ms=since, step_ms=HOUR_MS)
    return heat(trail.uses(query), now_ms)
