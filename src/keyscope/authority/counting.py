"""What a call spends of the budgets of its line, and what is said when one of them has nothing left.

A call is spent once, when nothing else is left to be judged and before its first byte goes on. Nothing is spent for
what is refused. Places are held until the call is over.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from keyscope.authority.counters import Budget, Counters, Kind, Spent, Used
from keyscope.authority.ports import Clock
from keyscope.errors import CountersUnavailable
from keyscope.model.access import Access
from keyscope.model.decision import Allow, Decision, Deny, is_restricted
from keyscope.model.objection import Objection, Reason
from keyscope.model.restrictions import Bound, Restrictions

AWAY_OPEN, AWAY_CLOSED = "rates-pass", "closed"


class Counting:
    """``rates_pass``: while nothing can be counted, keys that are limited in their rate alone are let through."""

    def __init__(self, counters: Counters, clock: Clock, *, rates_pass: bool = False) -> None:
        self.counters = counters
        self._clock = clock
        self._rates_pass = rates_pass

    def spend(self, allow: Allow) -> Decision:
        """The same Allow once the call is counted, or the refusal. Raises CountersUnavailable."""
        budgets = _budgets(allow)
        if not budgets:
            return allow
        try:
            spent = self.counters.take(budgets, self._clock.now_ms())
        except CountersUnavailable:
            if self._rates_pass and all(_is_rate_alone(budget) for budget in budgets):
                return allow
            raise
        return _decided(allow, spent)

    def look(self, decision: Decision) -> Decision:
        """What ``spend`` would say, without spending. Raises CountersUnavailable."""
        budgets = _budgets(decision) if isinstance(decision, Allow) else ()
        if not isinstance(decision, Allow) or not budgets:
            return decision
        return _decided(decision, self.counters.look(budgets, self._clock.now_ms()))

    def give_back(self, allow: Allow) -> None:
        """Free the places that a call held which is over. To be called once for each ``spend`` that let it through."""
        budgets = [budget for budget in _budgets(allow) if budget.parallel is not None]
        if budgets:
            self.counters.give_back(budgets)

    def spent(self, bounds: Iterable[Bound]) -> list[tuple[Budget, Used]] | None:
        """What is gone of each of these budgets; None if that cannot be known now."""
        found = [budget_of(bound.holder, bound.restrictions) for bound in bounds]
        budgets = [budget for budget in found if budget is not None]
        try:
            used = self.counters.used([budget.holder for budget in budgets]) if budgets else {}
        except CountersUnavailable:
            return None
        return [(budget, used[budget.holder]) for budget in budgets]


def budget_of(holder: str, restrictions: Restrictions) -> Budget | None:
    """What these restrictions let their holder spend; None if they limit nothing that is counted."""
    uses, rate, parallel = restrictions.uses, restrictions.rate, restrictions.parallel
    if uses is None and rate is None and parallel is None:
        return None
    requests, per_ms = (rate.requests, rate.per_ms) if rate is not None else (None, 0)
    return Budget(holder=holder, uses=uses, requests=requests, per_ms=per_ms, parallel=parallel)


def is_spent(allow: Allow) -> bool:
    """Whether the call counts against a budget of its line."""
    return bool(_budgets(allow))


def _budgets(allow: Allow) -> tuple[Budget, ...]:
    if not is_restricted(allow.access):
        return ()
    found = (budget_of(bound.holder, bound.restrictions) for bound in allow.lineage.bounds)
    return tuple(_fitted(budget, allow.access) for budget in found if budget is not None)


def _fitted(budget: Budget, access: Access) -> Budget:
    """Keyscope's own operations are uses like any other, but hold no place: those are of the API behind the gate."""
    route = access.route
    if budget.parallel is None or route is None or not route.is_own:
        return budget
    return Budget(holder=budget.holder, uses=budget.uses, requests=budget.requests, per_ms=budget.per_ms)


def _is_rate_alone(budget: Budget) -> bool:
    return budget.uses is None and budget.parallel is None


def _decided(allow: Allow, spent: Sequence[Spent]) -> Decision:
    if not spent:
        return allow
    objections = tuple(_objection(one) for one in spent)
    reasons = tuple(dict.fromkeys(objection.reason for objection in objections))
    return Deny(allow.lineage, allow.access, reasons, (), objections)


def _objection(spent: Spent) -> Objection:
    reason, message, remedy = _SAID[spent.kind]
    return Objection(reason, message, remedy, spent.holder, wait_ms=spent.wait_ms)


_SAID: Mapping[Kind, tuple[Reason, str, str]] = {
    Kind.USES: (
        Reason.USES_SPENT,
        "The key may be used only so many times, and no use is left.",
        "The holder of a standard key (ak_) can raise its uses.",
    ),
    Kind.RATE: (
        Reason.RATE_EXCEEDED,
        "The key may be used only so often, and was used as often as that.",
        "Try again after the seconds that Retry-After names.",
    ),
    Kind.PARALLEL: (
        Reason.TOO_MANY_PARALLEL,
        "The key may make only so many calls at once, and as many are under way.",
        "Try again when one of them has ended.",
    ),
}
