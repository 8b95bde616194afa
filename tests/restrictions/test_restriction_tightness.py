"""What a key may be changed to by a restricted caller, and what it must not be made to look like."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from keyscope.model.body import Json
from keyscope.model.decision import Allow
from keyscope.model.key import Lineage
from keyscope.model.restrictions import Restrictions
from keyscope.model.tightness import beyond, loosened
from tests.restrictions.making import a_key, bodies, calls, judged, peers, restricted, restriction_sets, sights, times

WORK = {"from": "09:00", "to": "17:00", "timezone": "UTC"}


def boxes(*names: str) -> dict[str, Any]:
    return {"instances": {"devboxes": [*names]}}


def rate(requests: int, per_ms: int) -> dict[str, Any]:
    return {"rate": {"requests": requests, "per_ms": per_ms}}


def kinds(faults: Any) -> set[str]:
    return {fault.path.removeprefix("$.restrictions.") for fault in faults}


@given(restriction_sets, restriction_sets, calls, bodies, sights, peers, times)
def test_what_is_not_loosened_never_lets_a_call_through_that_was_not(
    old: dict[str, Json], new: dict[str, Json], call: str, body: Json, sight: Any, peer: str, now_ms: int
) -> None:
    before, after = restricted(a_key(), old), restricted(a_key(), new)
    if list(loosened(after.restrictions, before.restrictions, "key_a")):
        return
    asked = {"sight": sight, "peer": peer, "now_ms": now_ms}
    if isinstance(judged(Lineage(after), call, body, **asked), Allow):
        assert isinstance(judged(Lineage(before), call, body, **asked), Allow)


@given(restriction_sets)
def test_the_same_is_neither_looser_nor_beyond(one: dict[str, Json]) -> None:
    found = Restrictions.parse(dict(one))
    assert not list(loosened(found, found, "key_a"))
    assert not list(beyond(found, found, "key_a"))


@pytest.mark.parametrize(
    ("old", "tighter", "looser"),
    [
        (boxes("ci-*"), boxes("ci-1", "ci-2*"), boxes("ci")),
        (boxes("a"), {"instances": {"devboxes": ["a"], "objects": ["b"]}}, {"instances": {"objects": ["b"]}}),
        ({"own": ["devboxes"]}, {"own": True}, {"own": ["snapshots"]}),
        ({"own": True}, {"own": True, "uses": 1}, {"own": ["devboxes"]}),
        ({"cidrs": ["10.0.0.0/8"]}, {"cidrs": ["10.1.0.0/16", "10.9.9.9"]}, {"cidrs": ["10.0.0.0/7"]}),
        ({"cidrs": ["10.0.0.0/8"]}, {"cidrs": ["10.1.0.0/16"]}, {"cidrs": ["10.1.0.0/16", "2001:db8::/32"]}),
        ({"not_before_ms": 5}, {"not_before_ms": 6}, {"not_before_ms": 4}),
        ({"window": WORK}, {"window": {**WORK, "from": "10:00", "days": ["mon"]}}, {"window": {**WORK, "to": "17:01"}}),
        ({"window": {**WORK, "days": ["mon"]}}, {"window": {**WORK, "days": ["mon"]}}, {"window": WORK}),
        ({"window": WORK}, {"window": WORK}, {"window": {**WORK, "timezone": "Europe/Berlin"}}),
        ({"uses": 5}, {"uses": 4}, {"uses": 6}),
        (rate(5, 1000), rate(5, 2000), rate(5, 999)),
        (rate(5, 1000), rate(4, 1000), rate(6, 2000)),
        ({"parallel": 2}, {"parallel": 1}, {"parallel": 3}),
        ({"deny": ["getDevbox"]}, {"deny": ["getDevbox", "POST"]}, {"deny": ["POST"]}),
        ({"hold": {"delay_ms": 5}}, {"hold": {"delay_ms": 5}}, {"hold": {"delay_ms": 4}}),
    ],
)
def test_each_kind_can_be_tightened_and_not_loosened(old: Any, tighter: Any, looser: Any) -> None:
    (kind,) = old
    had = Restrictions.parse(old)
    assert kinds(loosened(Restrictions.parse(tighter), had, "key_a")) == set()
    assert kinds(loosened(Restrictions.parse(looser), had, "key_a")) == {kind}
    assert kinds(loosened(None, had, "key_a")) == {kind}
    assert kinds(loosened(had, None, "key_a")) == set()


@pytest.mark.parametrize(
    ("above", "asked", "refused"),
    [
        ({"uses": 5}, {"uses": 6}, {"uses"}),
        ({"uses": 5}, {"parallel": 6}, set()),
        ({"instances": {"devboxes": ["a"]}}, {"instances": {"objects": ["b"]}}, set()),
        ({"instances": {"devboxes": ["a"]}}, {"instances": {"devboxes": ["a", "b"]}}, {"instances"}),
        ({"cidrs": ["10.0.0.0/8"]}, {"cidrs": ["10.0.0.0/8", "192.0.2.0/24"]}, {"cidrs"}),
        ({"deny": ["getDevbox"]}, {"deny": ["POST"]}, set()),
        ({"own": True}, {"own": ["devboxes"]}, set()),
        ({"window": WORK}, {"window": {**WORK, "from": "08:00"}}, set()),
    ],
)
def test_a_key_is_not_made_to_look_freer_than_those_above_it_leave_it(
    above: Any, asked: Any, refused: set[str]
) -> None:
    assert kinds(beyond(Restrictions.parse(asked), Restrictions.parse(above), "key_p")) == refused
