"""Nodes without counters in common: what would have to be counted is refused, with what to do about it."""

from __future__ import annotations

import pytest

from keyscope.derive import attenuate
from tests.live import wire_scopes
from tests.nodes.team import Team, wait


@pytest.mark.parametrize("limit", [{"uses": 3}, {"rate": {"requests": 3, "per_ms": 1000}}, {"parallel": 1}], ids=str)
def test_a_key_that_nobody_would_count_is_not_minted(three: Team, limit: dict[str, object]) -> None:
    body = {"scopes": wire_scopes(["devboxes:read"]), "restrictions": limit}
    refused = three[0].call("POST", "/v1/restricted_keys", json=body)
    [fault] = refused.json()["faults"]
    assert (refused.status_code, fault["path"]) == (400, f"$.restrictions.{next(iter(limit))}")
    assert "set KEYSCOPE_COUNTERS" in fault["message"]


def test_one_that_is_there_all_the_same_is_refused_and_told_why(three: Team) -> None:
    secret = three[0].mint("devboxes:read")["key_secret"]
    wait(lambda: three[1].may(secret) == 200, "the key is known")
    limited = attenuate(secret, restrictions={"uses": 3})
    assert three[1].may(limited) == 403
    told = three[1].call("GET", "/keyscope/can?method=GET&path=/v1/devboxes", limited).json()
    assert (told["allowed"], [one["reason"] for one in told["objections"]]) == (False, ["not_seen"])
    assert "KEYSCOPE_COUNTERS" in told["next"][0]
