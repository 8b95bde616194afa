"""What a key is restricted to beyond its scopes: all kinds together, and the same for every key of a line."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from keyscope.errors import Fault
from keyscope.model.access import Access
from keyscope.model.body import Json
from keyscope.model.objection import Objection
from keyscope.model.operation import Route
from keyscope.model.restriction.calls import Denied, Hold
from keyscope.model.restriction.counts import MOST_PARALLEL, Parallel, Rate, Uses
from keyscope.model.restriction.given import Given
from keyscope.model.restriction.peers import Cidrs
from keyscope.model.restriction.things import Instances, Own, looks_at_body
from keyscope.model.restriction.times import LATEST_MS, NotBefore, Window


class Restriction(Protocol):
    """One of them. It can only object (law 1)."""

    def objection(self, access: Access, holder: str) -> Objection | None:
        """What this has against the call; ``holder`` is the key, or the derived link, that it restricts."""


class InvalidRestrictions(ValueError):
    """Not a set of restrictions that is known here. ``faults`` names every place and what to do."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__("; ".join(f"{fault.path}: {fault.message}" for fault in faults))
        self.faults = tuple(faults)


class Restrictions(Struct, frozen=True, kw_only=True):
    """What is None restricts nothing. Times are Unix milliseconds."""

    instances: Instances | None = None
    own: Own | None = None
    cidrs: Cidrs | None = None
    not_before_ms: int | None = None
    window: Window | None = None
    uses: int | None = None
    rate: Rate | None = None
    parallel: int | None = None
    deny: Denied | None = None
    hold: Hold | None = None

    @classmethod
    def parse(cls, value: Json, path: str = "$.restrictions") -> Restrictions:
        """Read them from JSON. Raises InvalidRestrictions with every fault: what is not known here is refused."""
        faults: list[Fault] = []
        members = Given(value, path, faults).members(_READERS)
        found = {name: _READERS[name](member) for name, member in members.items()}
        if faults:
            raise InvalidRestrictions(faults)
        return cls(**found)

    @classmethod
    def from_text(cls, text: str) -> Restrictions:
        """Read them from text that holds JSON. Raises ValueError for what is none."""
        return _from_text(text)

    @property
    def plain(self) -> dict[str, Json]:
        """As JSON has them, each list sorted."""
        found = ((name, getattr(self, name)) for name in sorted(_READERS))
        return {name: value if isinstance(value, int) else value.plain for name, value in found if value is not None}

    @property
    def text(self) -> str:
        """Their one spelling, that of RFC 8785: equal restrictions have equal texts."""
        return msgspec.json.encode(self.plain, order="sorted").decode()

    @property
    def each(self) -> tuple[Restriction, ...]:
        """The restrictions one by one; those that cost least are first."""
        not_before = NotBefore(self.not_before_ms) if self.not_before_ms is not None else None
        uses = Uses(self.uses) if self.uses is not None else None
        parallel = Parallel(self.parallel) if self.parallel is not None else None
        kinds = (not_before, self.deny, uses, self.rate, parallel, self.hold, self.cidrs, self.window,
                 self.instances, self.own)  # fmt: skip
        return tuple(kind for kind in kinds if kind is not None)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self != NONE


NONE = Restrictions()

_READERS: dict[str, Callable[[Given], Any]] = {
    "instances": Instances.read,
    "own": Own.read,
    "cidrs": Cidrs.read,
    "not_before_ms": lambda given: given.whole(1, LATEST_MS),
    "window": Window.read,
    "uses": lambda given: given.whole(1),
    "rate": Rate.read,
    "parallel": lambda given: given.whole(1, MOST_PARALLEL),
    "deny": Denied.read,
    "hold": Hold.read,
}


@lru_cache(maxsize=4096)
def _from_text(text: str) -> Restrictions:
    """Many keys share a few sets of restrictions."""
    return Restrictions.parse(msgspec.json.decode(text))


class Bound:
    """The restrictions of one key of a line, or of one link of a derived key: ``holder`` is its id."""

    __slots__ = ("each", "holder", "limits", "restrictions")

    def __init__(self, holder: str, restrictions: Restrictions) -> None:
        self.holder = holder
        self.restrictions = restrictions
        self.each = restrictions.each
        self.limits = tuple(one for one in (restrictions.instances, restrictions.own) if one is not None)

    def objections(self, access: Access) -> list[Objection]:
        """Everything that they have against a call."""
        # A loop: nothing objects to most calls, and this runs for every one.
        holder, found = self.holder, []
        for restriction in self.each:
            objection = restriction.objection(access, holder)
            if objection is not None:
                found.append(objection)
        return found

    def looks_at_body(self, route: Route | None) -> bool:
        """Whether what the body of such a call names matters to them."""
        return bool(self.limits) and looks_at_body(route, self.limits)

    def __repr__(self) -> str:
        return f"Bound({self.holder}, {self.restrictions.text})"
