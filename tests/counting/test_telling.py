"""What a limited key has left is told to whoever asks, and asking spends only where a call is meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from keyscope.derive import attenuate
from tests.counting.limiting import LIST, limited, used
from tests.inprocess.serving import Served, guard_environment
from tests.live import Live
from tests.standards.asking import asked, evaluate

HOUR: dict[str, int] = {"requests": 1, "per_ms": 3_600_000}


@pytest.fixture(scope="module")
def authority(new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory(), upstream="http://127.0.0.1:9") as live:
        yield live


def verified(live: Live, key: str, **more: Any) -> dict[str, Any]:
    answer = live.call("POST", "/keyscope/verify", json={"key": key, "method": "GET", "path": LIST, **more})
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


def test_an_allowed_question_of_an_api_server_is_a_use(authority: Live) -> None:
    key = limited(authority, uses=2)
    assert [verified(authority, key["key_secret"])["allowed"] for _ in range(3)] == [True, True, False]
    assert verified(authority, key["key_secret"])["reasons"] == ["uses_spent"]
    assert used(authority, key).uses == 2


def test_a_question_that_does_not_count_spends_nothing_and_tells_the_truth(authority: Live) -> None:
    key = limited(authority, uses=1)
    assert [verified(authority, key["key_secret"], counts=False)["allowed"] for _ in range(3)] == [True] * 3
    assert verified(authority, key["key_secret"])["allowed"]
    assert not verified(authority, key["key_secret"], counts=False)["allowed"]


def test_a_question_whose_body_decides_is_spent_once_it_has_the_body(authority: Live) -> None:
    key = limited(authority, uses=1)
    call = {"method": "POST", "path": "/v1/devboxes"}
    assert verified(authority, key["key_secret"], **call)["judged_by_body"]
    assert used(authority, key).uses == 0
    assert verified(authority, key["key_secret"], **call, body={"name": "one"})["allowed"]
    assert used(authority, key).uses == 1


def test_the_wait_of_a_rate_is_told_in_milliseconds(authority: Live) -> None:
    key = limited(authority, rate=HOUR)
    assert verified(authority, key["key_secret"])["allowed"]
    (objection,) = verified(authority, key["key_secret"])["objections"]
    assert (objection["reason"], objection["holder"]) == ("rate_exceeded", key["id"])
    assert 3_500_000 < objection["wait_ms"] <= 3_600_000


def test_who_asks_does_not_tell_when_a_call_is_over(authority: Live) -> None:
    key = limited(authority, parallel=5)
    assert verified(authority, key["key_secret"])["reasons"] == ["not_seen"]


def test_answers_that_are_not_counted_say_no(authority: Live) -> None:
    key = limited(authority, uses=5)
    said = evaluate(authority, asked(key["id"], "GET", LIST)).json()
    assert (said["decision"], said["context"]["reasons"]) == (False, ["not_seen"])
    assert used(authority, key).uses == 0


def test_a_key_is_told_what_is_left_and_whether_it_may_without_spending(authority: Live) -> None:
    parent = limited(authority, uses=9)
    key = limited(authority, parent["key_secret"], uses=2, parallel=3)
    expected = [
        {"holder": key["id"], "uses": 0, "uses_left": 2, "parallel": 0},
        {"holder": parent["id"], "uses": 1, "uses_left": 8, "parallel": 0},
    ]
    assert authority.call("GET", "/keyscope/me", key["key_secret"]).json()["spent"] == expected
    assert authority.call("GET", f"/v1/restricted_keys/{key['id']}").json()["spent"] == expected
    can = f"/keyscope/can?method=GET&path={LIST}"
    assert authority.call("GET", can, key["key_secret"]).json()["allowed"]
    for _ in range(2):
        assert authority.call("GET", LIST, key["key_secret"]).status_code == 502
    told = authority.call("GET", can, key["key_secret"]).json()
    assert (told["allowed"], told["reasons"]) == (False, ["uses_spent"])
    assert authority.call("GET", "/keyscope/me", key["key_secret"]).json()["spent"][0]["uses_left"] == 0


def test_managing_keys_is_a_use_and_looking_at_oneself_is_none(authority: Live) -> None:
    key = limited(authority, uses=1, parallel=1)
    assert authority.call("GET", "/keyscope/me", key["key_secret"]).status_code == 200
    assert authority.call("GET", "/v1/restricted_keys", key["key_secret"]).status_code == 200
    refused = authority.call("GET", "/v1/restricted_keys", key["key_secret"])
    assert (refused.status_code, refused.json()["code"]) == (403, "restricted")
    assert authority.call("POST", "/keyscope/me/revoke", key["key_secret"]).status_code == 200


def test_what_a_holder_derives_has_a_budget_of_its_own_and_draws_on_the_keys(authority: Live) -> None:
    key = limited(authority, uses=3)
    derived = attenuate(key["key_secret"], restrictions={"uses": 2})
    assert [authority.call("GET", LIST, derived).status_code for _ in range(3)] == [502, 502, 403]
    other = attenuate(key["key_secret"], restrictions={"uses": 2})
    assert [authority.call("GET", LIST, other).status_code for _ in range(2)] == [502, 403]
    assert used(authority, key).uses == 3


def test_an_application_that_asks_the_server_counts_there(authority: Live) -> None:
    key, often = limited(authority, uses=2), limited(authority, rate=HOUR)
    app = "tests.inprocess.guarded:app"
    with Served("uvicorn", authority.directory, app, guard_environment(authority, "remote")) as served:
        assert [served.call("GET", LIST, key["key_secret"]).status_code for _ in range(3)] == [200, 200, 403]
        assert served.call("GET", LIST, often["key_secret"]).status_code == 200
        refused = served.call("GET", LIST, often["key_secret"])
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert int(refused.headers["retry-after"]) > 3500
    assert used(authority, key).uses == 2
