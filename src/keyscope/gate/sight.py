"""What a gate sees of a call, for the restrictions of its key: found out only for keys that have some.

The things that a call names are read from the very path that is matched, and from the very value that goes on.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from copy import copy
from typing import TypeVar
from urllib.parse import unquote

from msgspec.structs import replace

from keyscope.authority.things import Owners, Thing
from keyscope.model.body import Json
from keyscope.model.facts import BodySeen, Facts, Shown
from keyscope.model.key import Lineage
from keyscope.model.operation import Route
from keyscope.model.peer import address_of
from keyscope.model.reach import Reach, reach_of

T = TypeVar("T")

FindOwners = Callable[[str, Sequence[Thing]], Owners]
"""Of an account's things, the keys whose own each is: its maker and all above that. Raises Unavailable, and Unasked."""


class Unasked(Exception):
    """Whose own some things are is not known in this process: ``ask`` takes a while. Who does not wait refuses."""

    def __init__(self, ask: Callable[[], Awaitable[Owners]]) -> None:
        super().__init__("nobody has asked yet whose own it is")
        self.ask = ask


_NOBODYS: Owners = {}


class Sight:
    """``body`` is what will be known of bodies; ``knows_peer`` says whether the peer of a call is surely who called.
    The other members are those of Facts. Without ``owners`` nothing that there is counts as anybody's own.
    """

    def __init__(
        self,
        *,
        body: BodySeen = BodySeen.NOT,
        sees_reply: bool = False,
        counts: bool = False,
        sees_end: bool = False,
        holds: bool = False,
        knows_peer: bool = False,
        owners: FindOwners | None = None,
    ) -> None:
        self._body = body
        self._sees_reply = sees_reply
        self._counts = counts
        self._sees_end = sees_end
        self._holds = holds
        self._knows_peer = knows_peer
        self._owners = owners

    def facts(self, lineage: Lineage, route: Route | None, path: str, peer: str) -> Facts:
        """What the head of a call shows. ``peer`` is the caller's address, empty if it is not known."""
        places = reach_of(route).places
        shown = _in_path(places, path) if places else ()
        return Facts(
            peer=address_of(peer) if self._knows_peer else None,
            shown=shown,
            body=self._body,
            owners=self._owners_of(lineage, shown),
            sees_reply=self._sees_reply,
            counts=self._counts,
            sees_end=self._sees_end,
            holds=self._holds,
        )

    def with_body(self, facts: Facts, lineage: Lineage, route: Route | None, body: Json) -> Facts:
        """The same with what the body shows."""
        more = tuple(_in_body(reach_of(route), body))
        owners = {**facts.owners, **self._owners_of(lineage, more)}
        return replace(facts, shown=facts.shown + more, body=BodySeen.WHOLE, owners=owners)

    def told(self, owners: Owners) -> Sight:
        """The same once it was asked whose own the things of a call are."""
        told = copy(self)
        told._owners = lambda _, things: {thing: owners[thing] for thing in things if thing in owners}
        return told

    def _owners_of(self, lineage: Lineage, shown: tuple[Shown, ...]) -> Owners:
        """Asked for only if a restriction of the line looks at them."""
        if self._owners is None or not any(bound.restrictions.own is not None for bound in lineage.bounds):
            return _NOBODYS
        return self._owners(lineage.key.account_id, [(one.resource, one.id) for one in shown if one.id is not None])


async def judged(sight: Sight, judge: Callable[[Sight], T]) -> T:
    """What ``judge`` makes of what is seen of a call, whatever of that has to be asked for first.

    Raises what ``judge`` raises. It is begun anew then, so it must do nothing before it knows all.
    """
    try:
        return judge(sight)
    except Unasked as unasked:
        owners = await unasked.ask()
    return judge(sight.told(owners))


def without_body(facts: Facts | None) -> Facts | None:
    """The same for a call whose body nobody will look at."""
    return replace(facts, body=BodySeen.NOT) if facts is not None else None


def _in_path(places: tuple[tuple[int, str], ...], path: str) -> tuple[Shown, ...]:
    segments = path[1:].split("/")
    if "%" in path:  # canonical paths have one spelling for each name; bodies and replies have it decoded
        segments = [unquote(segment) for segment in segments]
    return tuple([Shown(resource, segments[at], True) for at, resource in places])


def _in_body(reach: Reach, body: Json) -> Iterator[Shown]:
    for path, resource in reach.references:
        for value in path.select(body):
            if value is not None:
                yield Shown(resource, value if isinstance(value, str) else None)


BLIND = Sight(counts=True)
"""Sees the head of a call alone. Like all of these it counts, and edits no replies."""
SEES_BODY = Sight(body=BodySeen.LATER, counts=True)
"""Looks at bodies."""
SEES_NO_BODY = Sight(body=BodySeen.WHOLE, counts=True)
"""For calls that have none."""
SEES_END = Sight(body=BodySeen.LATER, counts=True, sees_end=True)
"""Looks at bodies, and carries the call to its end."""
OPENS = Sight(body=BodySeen.WHOLE, counts=True, sees_end=True)
"""For what has no body, and lasts: a WebSocket."""
