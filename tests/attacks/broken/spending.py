"""Builds that do not count as they must."""

from __future__ import annotations

from typing import Any

from keyscope.authority import counting
from keyscope.authority.counters import Kind
from keyscope.authority.verify import Verifier
from keyscope.gate import admit, forward
from keyscope.gate.sight import SEES_END
from keyscope.model.decision import Allow
from keyscope.store.counters import SqliteCounters
from tests.attacks.broken.build import broken, part, swap


@broken("what is let through is not spent", "lim-001", "lim-003", "lim-004", "lim-001:forward-auth")
def _() -> None:
    swap(Verifier, "spend", lambda self, allow: allow)


@broken("HEAD is free", "lim-002")
def _() -> None:
    old = part(admit, "settle")

    def settle(verifier: Any, decision: Any, attempt: Any) -> Any:
        return decision if attempt().method == "HEAD" else old(verifier, decision, attempt)

    swap(admit, "settle", settle)


@broken("a key draws on its own budget alone", "lim-004", "lim-004:forward-auth")
def _() -> None:
    old = part(counting, "_budgets")

    def budgets(allow: Allow) -> Any:
        return tuple(budget for budget in old(allow) if budget.holder == allow.lineage.key.id)

    swap(counting, "_budgets", budgets)


@broken("rates are not looked at", "lim-003", "lim-003:forward-auth")
def _() -> None:
    old = part(SqliteCounters, "take")

    def take(self: Any, budgets: Any, now_ms: int) -> Any:
        return tuple(spent for spent in old(self, budgets, now_ms) if spent.kind is not Kind.RATE)

    swap(SqliteCounters, "take", take)


@broken("what is refused spends, too", "lim-005", "lim-005:forward-auth")
def _() -> None:
    old = part(Verifier, "note_denied")

    def note_denied(self: Any, denied: Any, attempt: Any) -> None:
        if denied.lineage.bounds:
            self.spend(Allow(denied.lineage, denied.access))
        old(self, denied, attempt)

    swap(Verifier, "note_denied", note_denied)


@broken("forward-auth claims to see the end of calls", "lim-006:forward-auth")
def _() -> None:
    swap(forward, "_SEES_HEAD", SEES_END)
    swap(forward, "_SEES_ALL", SEES_END)
