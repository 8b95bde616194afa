"""Being observed forgives a key the lack of its own scopes, records it, and changes nothing else for anybody."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from keyscope.model.access import Access
from keyscope.model.decision import Allow, Deny, decide, strict
from keyscope.model.key import REVERTIBLE_MS, Key, Lineage
from keyscope.model.objection import Reason
from keyscope.model.scope import Grant, Scope
from keyscope.model.token import Kind
from tests.laws.strategies import (
    accesses,
    grants,
    keys,
    line,
    lineages,
    maybe_times,
    restricted_keys,
    scope_sets,
    times,
)


def unobserved(lineage: Lineage) -> Lineage:
    return line(*(replace(key, observe_until_ms=None, observe_within=None) for key in lineage.line))


@given(lineages, accesses)
def test_what_is_forgiven_is_what_every_key_above_may_do(lineage: Lineage, attempt: Access) -> None:
    decision = decide(lineage, attempt)
    if isinstance(decision, Allow) and decision.observed is not None:
        assert lineage.parent is not None
        assert isinstance(strict(decide(unobserved(lineage.parent), attempt)), Allow)
        assert lineage.key.is_observed_at(attempt.now_ms)


@given(lineages, accesses)
def test_the_denial_that_it_would_be_is_the_one_of_a_key_that_is_not_observed(
    lineage: Lineage, attempt: Access
) -> None:
    decision, plain = decide(lineage, attempt), decide(unobserved(lineage), attempt)
    would_be = strict(decision)
    assert type(would_be) is type(plain)
    if isinstance(would_be, Deny) and isinstance(plain, Deny):
        assert (would_be.reasons, would_be.missing) == (plain.reasons, plain.missing)
    if isinstance(decision, Allow) and decision.observed is not None:
        assert set(decision.observed.reasons) <= {Reason.MISSING_SCOPE, Reason.NARROWED}
        assert decision.observed.missing


@given(lineages, accesses, restricted_keys)
def test_no_child_inherits_it(lineage: Lineage, attempt: Access, child: Key) -> None:
    plain = replace(child, observe_until_ms=None)
    below = Lineage(plain, lineage)
    assert isinstance(decide(below, attempt), Allow) == isinstance(
        decide(Lineage(plain, unobserved(lineage)), attempt), Allow
    )


@given(lineages, accesses, grants, times)
def test_no_derived_key_inherits_it(lineage: Lineage, attempt: Access, grant: Grant, ends_at_ms: int) -> None:
    derived = lineage.narrowed(("drv_1",), grant, ends_at_ms)
    decision = decide(derived, attempt)
    assert not (isinstance(decision, Allow) and decision.observed is not None)


@given(restricted_keys, keys, accesses, maybe_times)
def test_it_never_reaches_what_the_policy_does_not_list(
    key: Key, parent: Key, attempt: Access, until: int | None
) -> None:
    observed = replace(key, observe_until_ms=until)
    assert isinstance(decide(line(observed, parent), Access(None, (), attempt.now_ms)), Deny)


@given(restricted_keys, keys, accesses, scope_sets, st.integers(0, 2 * REVERTIBLE_MS))
def test_a_refusal_is_laid_to_a_narrowing_exactly_if_the_former_scopes_would_have_done(
    key: Key, parent: Key, attempt: Access, former: tuple[Scope, ...], since_ms: int
) -> None:
    live = replace(key, revoked_at_ms=None, suspended_at_ms=None, expires_at_ms=None, observe_until_ms=None)
    above = replace(parent, revoked_at_ms=None, suspended_at_ms=None, expires_at_ms=None, kind=Kind.STANDARD)
    narrowed = replace(live, narrowed_at_ms=attempt.now_ms - since_ms, narrowed_from=former)
    decision = decide(line(narrowed, above), attempt)
    before = decide(line(replace(live, scopes=former), above), attempt)
    if isinstance(decision, Deny) and Reason.MISSING_SCOPE in decision.reasons:
        regained = Grant(former).missing(decision.missing) == ()
        assert (Reason.NARROWED in decision.reasons) == (since_ms < REVERTIBLE_MS and regained)
        if isinstance(before, Allow):
            assert regained
