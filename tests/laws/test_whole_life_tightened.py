"""The whole life of keys again, some of them observed and narrowed meanwhile: nobody but the key itself gains by it."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import rule

from keyscope.model.event import Origin
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from tests.laws.model import MOST_OBSERVED_MS, Known, levels_of
from tests.laws.strategies import scope_sets
from tests.laws.test_whole_life import MEMORY, WholeLife


class Tightened(WholeLife):
    """With the three things more that can happen to a restricted key."""

    keys = WholeLife.keys
    offline = WholeLife.offline

    @rule(actor=keys, subject=keys, life=st.none() | st.integers(1, MOST_OBSERVED_MS + 1))
    def observe(self, actor: Known, subject: Known, life: int | None) -> None:
        if subject.kind is Kind.STANDARD:
            return
        until = self.now + life if life is not None else None
        in_bounds = life is None or life <= MOST_OBSERVED_MS
        if self.attempt(
            self.may_manage_as_owner(actor, subject) and in_bounds,
            lambda: self.tightening.observe(self.lineage(actor), subject.id, until, Origin()),
        ):
            subject.observed_until = until

    @rule(actor=keys, subject=keys, scopes=scope_sets)
    def narrow(self, actor: Known, subject: Known, scopes: tuple[Scope, ...]) -> None:
        if subject.kind is Kind.STANDARD:
            return
        own = {resource: level for resource, level in subject.levels.items() if level}
        narrower = all(level <= own.get(resource, 0) for resource, level in levels_of(scopes).items())
        allowed = (
            self.manages(actor, subject) and subject.changeable(self.now) and narrower and self.covers(actor, scopes)
        )
        if self.attempt(allowed, lambda: self.tightening.narrow(self.lineage(actor), subject.id, scopes, Origin())):
            left = {resource: level for resource, level in levels_of(scopes).items() if level}
            if left != own:
                subject.former = tuple(Scope(resource, level) for resource, level in subject.levels.items())
                subject.levels = levels_of(scopes)

    @rule(actor=keys, subject=keys)
    def revert(self, actor: Known, subject: Known) -> None:
        if subject.kind is Kind.STANDARD:
            return
        former = subject.former
        within = former is not None and subject.parent is not None and self.covers(subject.parent, former)
        if self.attempt(
            self.may_manage_as_owner(actor, subject) and within,
            lambda: self.tightening.revert(self.lineage(actor), subject.id, Origin()),
        ):
            assert former is not None
            subject.levels, subject.former = levels_of(former), None

    def may_manage_as_owner(self, actor: Known, subject: Known) -> bool:
        is_owner = actor.alive(self.now) and actor.kind is Kind.STANDARD
        return is_owner and subject.changeable(self.now)


class TightenedInMemory(Tightened):
    database = MEMORY


TestTightened = Tightened.TestCase
TestTightenedInMemory = TightenedInMemory.TestCase
TestTightened.settings = TestTightenedInMemory.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
