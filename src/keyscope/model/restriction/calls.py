"""What a key may not call even where its scopes cover it, and what it may call only once somebody has approved."""

from __future__ import annotations

import re

from msgspec import Struct

from keyscope.model.access import Access
from keyscope.model.body import Json
from keyscope.model.objection import Objection, Reason
from keyscope.model.operation import Route
from keyscope.model.restriction.given import Given
from keyscope.model.restriction.times import LATEST_MS

MOST_OPERATIONS = 200
METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
"""May stand in ``deny`` for all calls of the method. HEAD is GET without the content, and goes with it."""
_METHOD = re.compile(r"[A-Z]+", re.ASCII)


class Denied(Struct, frozen=True):
    """Ids of operations, and HTTP methods, sorted. In a tie one is enough."""

    names: tuple[str, ...]

    @classmethod
    def read(cls, given: Given) -> Denied | None:
        names = given.words(MOST_OPERATIONS, _name)
        return cls(names) if names else None

    @property
    def plain(self) -> Json:
        return list(self.names)

    def objection(self, access: Access, holder: str) -> Objection | None:
        route, names = access.route, self.names
        if route is None:
            return Objection(*_UNLISTED, holder)
        for operation in route.operations:
            if operation.id in names or operation.method in names:
                return Objection(*_DENIED, holder)
        return None


class Hold(Struct, frozen=True, kw_only=True):
    """``operations`` are ids, sorted; None: all that end something for good, by the policy.

    A held call waits for approval until ``deadline_ms`` milliseconds have passed, and is refused then; or with
    ``delay_ms`` it goes on by itself after so long, unless somebody has refused it. One of the two is set.
    """

    operations: tuple[str, ...] | None = None
    deadline_ms: int | None = None
    delay_ms: int | None = None

    @classmethod
    def read(cls, given: Given) -> Hold | None:
        members = given.members(("operations", "deadline_ms", "delay_ms"))
        operations = members["operations"].words(MOST_OPERATIONS, _name) if "operations" in members else None
        deadline = members["deadline_ms"].whole(1, LATEST_MS) if "deadline_ms" in members else None
        delay = members["delay_ms"].whole(1, LATEST_MS) if "delay_ms" in members else None
        if isinstance(given.value, dict) and ("deadline_ms" in members) == ("delay_ms" in members):
            given.fault("send either deadline_ms, to ask somebody, or delay_ms, to wait and go on")
            return None
        return cls(operations=operations, deadline_ms=deadline, delay_ms=delay)

    @property
    def plain(self) -> Json:
        found: dict[str, Json] = {"deadline_ms": self.deadline_ms, "delay_ms": self.delay_ms}
        if self.operations is not None:
            found["operations"] = list(self.operations)
        return {name: value for name, value in found.items() if value is not None}

    def covers(self, route: Route | None) -> bool:
        """Whether such a call is held. Of a call that the policy does not list nobody knows what it ends."""
        if route is None:
            return True
        if self.operations is None:
            return any(operation.destroys is not None for operation in route.operations)
        return any(operation.id in self.operations for operation in route.operations)

    def objection(self, access: Access, holder: str) -> Objection | None:
        if not self.covers(access.route) or (access.facts is not None and access.facts.holds):
            return None
        return Objection(*_NOT_HELD, holder)


_ASK = "The holder of a standard key (ak_) can change what the key is denied."
_DENIED = (Reason.OPERATION_DENIED, "The key is denied this operation, whatever its scopes.", _ASK)
_UNLISTED = (
    Reason.NOT_SEEN,
    "The key is denied certain operations, and the policy does not say which one this call is.",
    "Have the operation added to the policy.",
)
_NOT_HELD = (
    Reason.NOT_SEEN,
    "Calls like this are held for the key until they are approved, and that is not done here.",
    "Send the call through Keyscope's built-in gate, which holds it.",
)


def _name(given: Given) -> str | None:
    text = given.text()
    if text is not None and _METHOD.fullmatch(text) and text not in METHODS:
        given.fault(f"send the id of an operation, or a method: {', '.join(METHODS)}")
        return None
    return text
