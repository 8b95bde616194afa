"""How often a key may be used. What these say depends on the calls before, so the gate counts and spends.

Without somebody who counts, each of them objects: a limit that nobody counts is none.
"""

from __future__ import annotations

from msgspec import Struct

from keyscope.model.access import Access
from keyscope.model.body import Json
from keyscope.model.objection import Objection, Reason
from keyscope.model.restriction.given import Given

MOST_REQUESTS = 1_000_000
MOST_PARALLEL = 10_000
LONGEST_MS = 24 * 3600 * 1000
LEAST_MS = 100


class _Counted(Struct, frozen=True):
    def objection(self, access: Access, holder: str) -> Objection | None:
        counted = access.facts is not None and access.facts.counts
        return None if counted else Objection(*_NOT_COUNTED, holder)


class Uses(_Counted, frozen=True):
    """How many calls may be let through in all, those of the keys below it included."""

    most: int


class Rate(_Counted, frozen=True):
    """At most so many calls in any stretch of ``per_ms`` milliseconds."""

    requests: int
    per_ms: int

    @classmethod
    def read(cls, given: Given) -> Rate | None:
        members = given.members(("requests", "per_ms"))
        for name in ("requests", "per_ms"):
            if isinstance(given.value, dict) and name not in given.value:
                given.fault(f"{name} is missing: add it")
        requests = members["requests"].whole(1, MOST_REQUESTS) if "requests" in members else None
        per_ms = members["per_ms"].whole(LEAST_MS, LONGEST_MS) if "per_ms" in members else None
        return cls(requests, per_ms) if requests is not None and per_ms is not None else None

    @property
    def plain(self) -> Json:
        return {"per_ms": self.per_ms, "requests": self.requests}


class Parallel(_Counted, frozen=True):
    """How many calls may be under way at once. Keyscope's own operations are over when they are answered."""

    most: int

    def objection(self, access: Access, holder: str) -> Objection | None:
        is_own = access.route is not None and access.route.is_own
        if not is_own and (access.facts is None or not access.facts.sees_end):
            return Objection(*_NO_END, holder)
        return super().objection(access, holder)


_NO_END = (
    Reason.NOT_SEEN,
    "The key may make only so many calls at once, and when a call is over is not seen here.",
    "Send the call through Keyscope's built-in gate, which carries it to its end.",
)
_NOT_COUNTED = (
    Reason.NOT_SEEN,
    "The key may be used only so often, and calls are not counted here.",
    "Send the call through Keyscope's built-in gate, which counts; several nodes do so with KEYSCOPE_COUNTERS set.",
)
