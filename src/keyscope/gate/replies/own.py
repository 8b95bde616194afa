"""What a key that is limited to certain things may see of a list, and the record of what it makes.

The record is written before the maker hears of the thing. So what a crash leaves unrecorded is nobody's own: no key
that is limited to its own can reach it, neither its maker nor another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from msgspec import Struct

from keyscope.authority.ports import Clock
from keyscope.authority.things import Owners, Thing, Things
from keyscope.errors import BadRequest, KeyscopeError, NotRecorded
from keyscope.gate.questions import Questions
from keyscope.gate.replies.cuts import Steps
from keyscope.gate.sight import Unasked
from keyscope.model.body import JsonPath
from keyscope.model.decision import Allow
from keyscope.model.hidden import hidden_from
from keyscope.model.key import Lineage
from keyscope.model.operation import Route
from keyscope.model.reach import reach_of
from keyscope.model.restriction.things import Instances
from keyscope.wire.codec import decode_strict


class OwnThings:
    """The ledger, as the gate uses it in one event loop."""

    def __init__(self, things: Things, clock: Clock) -> None:
        self._things = things
        self._questions = Questions(things)
        self._clock = clock

    def owners(self, account_id: str, things: Sequence[Thing]) -> Owners:
        """Whose own each of these is, for a sight. Raises Unasked and StoreUnavailable."""
        known = self._things.known(account_id, things)
        if known is None:
            raise Unasked(partial(self._questions.ask, account_id, things))
        return known

    async def may_see(self, lineage: Lineage, resource: str, ids: Sequence[str]) -> list[bool]:
        """Of things of one type, which fit all restrictions of the line. Raises StoreUnavailable."""
        limits = [(bound.holder, limit) for bound in lineage.bounds for limit in bound.limits if limit.limits(resource)]
        seen = [True] * len(ids)
        owners: Owners | None = None
        for holder, limit in limits:
            if isinstance(limit, Instances):
                fits = [limit.fits(resource, thing) for thing in ids]
            else:
                if owners is None:
                    owners = await self._asked(lineage.key.account_id, [(resource, thing) for thing in ids])
                fits = [holder in owners.get((resource, thing), _NOBODY) for thing in ids]
            seen = [both and fit for both, fit in zip(seen, fits, strict=True)]
        return seen

    async def _asked(self, account_id: str, things: Sequence[Thing]) -> Owners:
        known = self._things.known(account_id, things)
        return known if known is not None else await self._questions.ask(account_id, things)

    async def record(self, allow: Allow, reply: bytes) -> None:
        """Write down what the call has made, by the reply. Raises NotRecorded if that cannot be done."""
        try:
            made = _made(allow.access.route, reply)
            lineage = allow.lineage
            owners = await asyncio.to_thread(
                self._things.add, lineage.key.account_id, made, lineage.chain, self._clock.now_ms()
            )
        except KeyscopeError as error:
            raise NotRecorded(error.detail) from error
        if any(not owners[thing].issuperset(lineage.chain) for thing in made):
            raise NotRecorded("the upstream says that it made what somebody else had made")


class Plan(Struct, frozen=True):
    """What is done to a reply for its caller. ``hidden`` is cut out of it; ``lists`` is as in ``limited_list``."""

    hidden: tuple[JsonPath, ...] = ()
    makes: bool = False
    lists: tuple[str, Steps] | None = None

    @property
    def edits(self) -> bool:
        """Whether the reply is looked at."""
        return bool(self.hidden or self.makes or self.lists is not None)


PLAIN = Plan()


def plan_of(allow: Allow) -> Plan:
    """What is done to the reply to an allowed call: nothing, for nearly all."""
    hidden = hidden_from(allow)
    if not allow.lineage.bounds:
        return Plan(hidden) if hidden else PLAIN
    return Plan(hidden, makes_own(allow), limited_list(allow))


def makes_own(allow: Allow) -> bool:
    """Whether what the call makes is to be written down: some key of the line is limited to its own."""
    bounds = allow.lineage.bounds
    if not bounds or all(bound.restrictions.own is None for bound in bounds):
        return False
    return bool(reach_of(allow.access.route).creates)


def limited_list(allow: Allow) -> tuple[str, Steps] | None:
    """The resource type that the reply lists and the path of its ids, if the key may see only some of them."""
    listed = reach_of(allow.access.route).lists if allow.lineage.bounds else None
    if listed is None or not any(limit.limits(listed[0]) for bound in allow.lineage.bounds for limit in bound.limits):
        return None
    return listed[0], listed[1].steps


_NOBODY: frozenset[str] = frozenset()


def _made(route: Route | None, reply: bytes) -> list[Thing]:
    """The things that a reply names as made. Raises NotRecorded if there is none."""
    try:
        value = decode_strict(reply)
    except BadRequest as error:
        raise NotRecorded(f"a reply that cannot be read: {error.detail}") from error
    made = [made for operation in (route.operations if route is not None else ()) if (made := operation.creates)]
    found = [(resource, thing) for resource, path in made for thing in path.select(value) if isinstance(thing, str)]
    if not found:
        raise NotRecorded("a reply that names nothing that was made")
    return found
