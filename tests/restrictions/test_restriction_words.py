"""Restrictions as they are typed and as they are said."""

from __future__ import annotations

from hypothesis import given

from keyscope.console.restricted import sentences
from keyscope.model.body import Json
from keyscope.model.restriction.typed import read_typed, typed
from keyscope.model.restrictions import Restrictions
from keyscope.wire.codec import decode_strict
from tests.restrictions.making import restriction_sets


@given(restriction_sets)
def test_what_is_typed_out_reads_back_as_the_same(one: dict[str, Json]) -> None:
    found = Restrictions.parse(one)
    assert Restrictions.parse(read_typed(typed(found), decode_strict) or {}) == found


def test_what_a_short_form_cannot_say_is_typed_as_json() -> None:
    odd = Restrictions.parse({"instances": {"account": ["a,b", " c"]}, "not_before_ms": 1_893_456_000_001})
    assert [*typed(odd)] == ['{"instances": {"account": [" c", "a,b"]}}', "not_before=2030-01-01T00:00:00.001000Z"]
    assert Restrictions.parse(read_typed(typed(odd), decode_strict) or {}) == odd


@given(restriction_sets)
def test_every_kind_has_a_sentence(one: dict[str, Json]) -> None:
    found = Restrictions.parse(one)
    types = len(found.instances.names) if found.instances is not None else 0
    assert len([*sentences(found)]) == len(found.each) - bool(types) + types
    assert all(sentence.startswith(("It ", "Of ")) and sentence.endswith(".") for sentence in sentences(found))
