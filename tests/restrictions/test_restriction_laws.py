"""Law 1, of restrictions: each only objects, one more never widens, and their order is all one."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from keyscope.gate.sight import Sight
from keyscope.model.access import Access
from keyscope.model.body import Json
from keyscope.model.decision import Allow, Deny, decide
from keyscope.model.key import Lineage
from keyscope.model.restrictions import Bound, Restrictions
from tests.laws.strategies import keys, routes
from tests.restrictions.making import a_key, bodies, calls, judged, peers, restricted, restriction_sets, sights, times

Given = dict[str, Json]


def is_allowed(lineage: Lineage, call: str, body: Json, sight: Sight, peer: str, now_ms: int) -> bool:
    return isinstance(judged(lineage, call, body, sight=sight, peer=peer, now_ms=now_ms), Allow)


@given(restriction_sets, calls, bodies, sights, peers, times)
def test_any_set_of_restrictions_only_ever_objects(
    given_set: Given, call: str, body: Json, sight: Sight, peer: str, now_ms: int
) -> None:
    bare, bound = Lineage(a_key()), Lineage(restricted(a_key(), given_set))
    if is_allowed(bound, call, body, sight, peer, now_ms):
        assert is_allowed(bare, call, body, sight, peer, now_ms)


@given(restriction_sets, restriction_sets, calls, bodies, sights, peers, times)
def test_another_restriction_never_widens(
    one: Given, more: Given, call: str, body: Json, sight: Sight, peer: str, now_ms: int
) -> None:
    fewer, wider = Lineage(restricted(a_key(), one)), Lineage(restricted(a_key(), {**more, **one}))
    if is_allowed(wider, call, body, sight, peer, now_ms):
        assert is_allowed(fewer, call, body, sight, peer, now_ms)


@given(restriction_sets, restriction_sets, calls, bodies, sights, peers, times)
def test_a_child_never_has_fewer_than_its_parent(
    above: Given, below: Given, call: str, body: Json, sight: Sight, peer: str, now_ms: int
) -> None:
    parent = Lineage(restricted(a_key("key_a"), above))
    child = Lineage(restricted(replace(a_key("key_b"), parent_id="key_a"), below), parent)
    assert {bound.holder for bound in parent.bounds} <= {bound.holder for bound in child.bounds}
    if is_allowed(child, call, body, sight, peer, now_ms):
        assert is_allowed(parent, call, body, sight, peer, now_ms)


@given(
    st.permutations([{"uses": 1}, {"cidrs": ["10.0.0.0/8"]}, {"deny": ["POST"]}, {"own": True}]), calls, sights, times
)
def test_the_order_of_the_bounds_is_all_one(order: list[Any], call: str, sight: Sight, now_ms: int) -> None:
    lineage = Lineage(a_key())
    lineage.bounds = tuple(Bound("key_a", Restrictions.parse(one)) for one in order)
    first = judged(lineage, call, sight=sight, now_ms=now_ms)
    lineage.bounds = tuple(reversed(lineage.bounds))
    second = judged(lineage, call, sight=sight, now_ms=now_ms)
    assert isinstance(first, Allow) == isinstance(second, Allow)
    if isinstance(first, Deny) and isinstance(second, Deny):
        assert set(first.reasons) == set(second.reasons)
        assert set(first.objections) == set(second.objections)


@given(keys, routes, st.integers(0, 1000), restriction_sets)
def test_nothing_about_a_key_makes_its_restrictions_matter_less(key: Any, route: Any, now_ms: int, one: Given) -> None:
    """Neither that it is a standard key, as a derived key's root may be, nor that it is observed."""
    lineage = Lineage(restricted(key, one))
    denied = decide(lineage, Access(route, route.needs if route is not None else (), now_ms))
    if one and isinstance(denied, Allow):
        assert all(bound.objections(denied.access) == [] for bound in lineage.bounds) or (
            route is not None and route.is_own and not route.needs
        )


@given(restriction_sets)
def test_their_text_has_one_spelling_and_says_all(one: Given) -> None:
    found = Restrictions.parse(one)
    assert Restrictions.from_text(found.text) == found
    assert Restrictions.parse(found.plain) == found
    assert bool(found) == bool(one)
    shuffled: Given = {
        name: list(reversed(value)) if isinstance(value, list) else value for name, value in reversed(one.items())
    }
    assert Restrictions.parse(shuffled).text == found.text
