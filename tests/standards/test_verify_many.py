"""``/keyscope/verify`` with several questions at once."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from tests.attacks.fixtures import World
from tests.live import Live, wire_scopes


def verify(live: Live, body: Any, by: str | None = None) -> httpx.Response:
    return live.call("POST", "/keyscope/verify", by, json=body)


def test_every_answer_is_the_one_that_its_question_gets_alone(live: Live, world: World, asker: str) -> None:
    reader, dead = live.mint("devboxes:read"), live.mint("devboxes:read")
    live.revoke(dead["id"])
    key = reader["key_secret"]
    checks = [
        {"key": key},
        {"key": key, "method": "GET", "path": "/v1/devboxes"},
        {"key": key, "method": "POST", "path": "/v1/devboxes", "body": {"blueprint_id": "bp_1"}},
        {"key": key, "scopes": wire_scopes(["objects:read"])},
        {"key": dead["key_secret"]},
        {"key": world.other.secret},
        {"key": "no key"},
        {"key": live.first, "method": "DELETE", "path": "/v1/unlisted"},
    ]
    answer = verify(live, {"checks": checks}, asker)
    assert answer.status_code == 200
    alone = [verify(live, check, asker).json() for check in checks]
    results = answer.json()["results"]
    assert all(one.pop("now_ms") <= other.pop("now_ms") for one, other in zip(results, alone, strict=True))
    assert results == alone
    assert [one["allowed"] for one in answer.json()["results"]] == [True, True, *[False] * 5, True]


def test_a_thousand_are_answered_in_order(live: Live) -> None:
    keys = [live.mint("devboxes:read")["key_secret"], "no key"]
    results = verify(live, {"checks": [{"key": keys[n % 2]} for n in range(1000)]}).json()["results"]
    assert [one["valid"] for one in results] == [True, False] * 500


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"checks": []}, "$.checks"),
        ({"checks": [{"key": "a"}] * 1001}, "$.checks"),
        ({"checks": {}}, "$.checks"),
        ({"checks": None}, "$.checks"),
        ({"checks": [{"key": "a"}], "key": "a"}, "$.key"),
        ({"checks": [{"key": "a"}, {}]}, "$.checks[1].key"),
        ({"checks": [{"key": "a", "hue": 1}]}, "$.checks[0].hue"),
        ({"checks": [{"key": "a"}, {"key": "a", "method": "get", "path": "/v1"}]}, "$.checks[1].method"),
        ({"checks": [{"key": "a", "method": "GET", "path": "/v1//x"}]}, "$.checks[0].target"),
        ({}, "$.key"),
    ],
)
def test_a_fault_refuses_all_and_names_its_place(live: Live, body: Any, place: str) -> None:
    refused = verify(live, body)
    assert refused.status_code == 400
    assert place in [fault["path"] for fault in refused.json()["faults"]]


def test_a_repeated_member_in_any_check_is_refused(live: Live) -> None:
    content = b'{"checks": [{"key": "a", "key": "b"}]}'
    refused = live.call("POST", "/keyscope/verify", content=content, headers={"content-type": "application/json"})
    assert refused.status_code == 400


def test_who_asks_must_be_authorised(live: Live) -> None:
    key = live.mint("devboxes:write")["key_secret"]
    assert verify(live, {"checks": [{"key": key}]}, key).status_code == 403
    assert verify(live, {"checks": [{"key": key}]}, "").status_code == 401
