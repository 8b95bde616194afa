"""Builds that let through what is to be held, and keys that outlive their runs."""

from __future__ import annotations

from typing import Any

import keyscope.gate.proxy
import keyscope.gate.runs
import keyscope.model.key
from keyscope.model.key import Key, Lineage
from keyscope.model.restriction.calls import Hold
from tests.attacks.broken.build import broken, swap

proxy = keyscope.gate.proxy


@broken("a call that is to be held goes on", "hld-001", "hld-002", "hld-004")
def _() -> None:
    swap(proxy, "terms_of", lambda *_: None)


@broken("only a key's own restrictions hold its calls", "hld-005")
def _() -> None:
    old = proxy.terms_of  # type: ignore[attr-defined]  # imported there

    def terms(lineage: Lineage, route: Any) -> Any:
        return old(Lineage(lineage.key), route)

    swap(proxy, "terms_of", terms)


@broken("of a tie one row says whether it is held", "hld-003")
def _() -> None:
    old = Hold.covers

    def covers(self: Hold, route: Any) -> bool:
        first = route.operations[0] if route is not None else None
        return first is None or (old(self, route) and first.destroys is not None)

    swap(Hold, "covers", covers)


@broken("a held call is sent on its second try", "hld-001")
def _() -> None:
    old, seen = proxy.terms_of, set()  # type: ignore[attr-defined]

    def terms(lineage: Any, route: Any) -> Any:
        if lineage.key.id in seen:
            return None
        seen.add(lineage.key.id)
        return old(lineage, route)

    swap(proxy, "terms_of", terms)


@broken("a lease ends only when it is swept", "run-001")
def _() -> None:
    never = keyscope.model.key.NEVER_MS
    swap(Key, "ends_at_ms", property(lambda self: never if self.expires_at_ms is None else self.expires_at_ms))


@broken("nobody looks whether a devbox has ended", "run-002")
def _() -> None:
    swap(keyscope.gate.runs.RunWatch, "watch", lambda *_: None)
