"""The laws of the judgement: total, deterministic, monotone in the grant, and only ever narrower down the tree."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from keyscope.model.access import Access
from keyscope.model.decision import Allow, Deny, decide, strict
from keyscope.model.key import Key, Lineage, State
from keyscope.model.objection import Reason
from keyscope.model.scope import Grant, Level, Scope
from tests.laws.strategies import (
    RESOURCES,
    access,
    accesses,
    grants,
    keys,
    line,
    lineages,
    restricted_keys,
    routes,
    scopes,
)


def reference(lineage: Lineage, attempt: Access) -> bool:
    """The rules written a second time, as plainly as they can be said."""
    for key in lineage.line:
        if key.revoked_at_ms is not None or key.suspended_at_ms is not None:
            return False
        if key.expires_at_ms is not None and attempt.now_ms >= key.expires_at_ms:
            return False
    above = itertools.takewhile(lambda key: not key.is_standard, lineage.line)
    restricted = list(above)
    if not restricted:
        return True
    if attempt.route is None:
        return False
    lacked = {need for key in restricted for need in attempt.needs if not reaches(key.scopes, need)}
    return not lacked or forgiven(lineage.line, restricted, attempt, lacked)


def reaches(scopes: tuple[Scope, ...], need: Scope) -> bool:
    return need.level is Level.NONE or any(s.resource == need.resource and s.level >= need.level for s in scopes)


def forgiven(line: tuple[Key, ...], restricted: list[Key], attempt: Access, lacked: set[Scope]) -> bool:
    """Whether only the key itself lacks it, and it is observed, and the call is of the API behind the gate."""
    key, *above = restricted
    observed = key.observe_until_ms is not None and attempt.now_ms < key.observe_until_ms
    within = key.observe_within is None or all(reaches(key.observe_within, need) for need in lacked)
    covered = len(line) > 1 and all(reaches(other.scopes, need) for other in above for need in lacked)
    return observed and within and covered and attempt.route is not None and not attempt.route.is_own


@given(lineages, accesses)
def test_decide_agrees_with_the_rules_said_plainly(lineage: Lineage, attempt: Access) -> None:
    assert isinstance(decide(lineage, attempt), Allow) == reference(lineage, attempt)


@given(lineages, accesses)
def test_decide_is_deterministic_and_a_denial_has_a_reason(lineage: Lineage, attempt: Access) -> None:
    first, second = decide(lineage, attempt), decide(lineage, attempt)
    assert first == second
    if isinstance(first, Deny):
        assert first.reasons


@given(restricted_keys, routes, st.integers(0, 1000), scopes)
def test_more_scopes_never_take_an_allow_away(key: Key, route: object, now_ms: int, more: Scope) -> None:
    attempt = access(route, now_ms)  # type: ignore[arg-type]  # the strategy's type is wider than its values
    level = max(more.level, Grant(key.scopes).level(more.resource))
    wider = replace(key, scopes=(*(s for s in key.scopes if s.resource != more.resource), Scope(more.resource, level)))
    if isinstance(decide(Lineage(key), attempt), Allow):
        assert isinstance(decide(Lineage(wider), attempt), Allow)


@given(lineages, accesses, keys)
def test_another_ancestor_never_widens(lineage: Lineage, attempt: Access, ancestor: Key) -> None:
    deeper = line(*lineage.line, ancestor)
    if isinstance(strict(decide(deeper, attempt)), Allow):
        assert isinstance(strict(decide(lineage, attempt)), Allow)
    if lineage.parent is not None and isinstance(decide(deeper, attempt), Allow):
        assert isinstance(decide(lineage, attempt), Allow)


@given(lineages, accesses)
def test_time_passing_never_revives(lineage: Lineage, attempt: Access) -> None:
    later = Access(attempt.route, attempt.needs, attempt.now_ms + 1)
    if isinstance(decide(lineage, later), Allow):
        assert isinstance(decide(lineage, attempt), Allow)


@given(lineages, st.integers(0, 1000))
def test_a_state_other_than_active_always_denies(lineage: Lineage, now_ms: int) -> None:
    decision = decide(lineage, Access(None, (), now_ms))
    if lineage.state_at(now_ms) is not State.ACTIVE:
        assert isinstance(decision, Deny)
        assert decision.is_dead


@given(grants, grants, scopes)
def test_meet_covers_what_both_cover(one: Grant, other: Grant, scope: Scope) -> None:
    assert one.meet(other).covers(scope) == (one.covers(scope) and other.covers(scope))


@given(grants, grants)
def test_meet_is_within_both(one: Grant, other: Grant) -> None:
    assert one.meet(other).within(one)
    assert one.meet(other).within(other)
    assert one.meet(other) == other.meet(one)


@given(grants, grants)
def test_within_means_covering_no_more(one: Grant, other: Grant) -> None:
    everything = [Scope(resource, level) for resource in RESOURCES for level in Level]
    assert one.within(other) == all(other.covers(scope) for scope in everything if one.covers(scope))


@given(restricted_keys, st.integers(0, 1000))
def test_a_denial_names_exactly_what_is_missing(key: Key, now_ms: int) -> None:
    needs = tuple(Scope(resource, Level.WRITE) for resource in RESOURCES)
    live = replace(key, revoked_at_ms=None, suspended_at_ms=None, expires_at_ms=None)
    decision = decide(Lineage(live), Access(None, needs, now_ms))
    assert isinstance(decision, Deny)
    lacking = {need for need in needs if not Grant(live.scopes).covers(need)}
    assert set(decision.missing) == lacking
    assert (Reason.MISSING_SCOPE in decision.reasons) == bool(lacking)
