"""The AuthZEN Authorization API 1.0: evaluation, evaluations, discovery, errors."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyscope.api.authzen import EVALUATION, EVALUATIONS
from keyscope.wire.own import CONFIGURATION
from tests.attacks.fixtures import World
from tests.live import Live
from tests.standards.asking import ALL, allowed, asked, evaluate

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def reader(live: Live) -> str:
    """The id of a key that may read devboxes."""
    key_id: str = live.mint("devboxes:read", name="reader")["id"]
    return key_id


def test_yes_is_200_with_a_decision_alone(live: Live, reader: str, asker: str) -> None:
    answer = evaluate(live, asked(reader, "GET", "/v1/devboxes"), asker)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == {"decision": True}
    assert answer.headers["cache-control"] == "no-store"


def test_no_is_200_and_says_what_is_missing_and_who_can_grant_it(live: Live, reader: str) -> None:
    answer = evaluate(live, asked(reader, "POST", "/v1/devboxes/dbx_1/shutdown"))
    said = answer.json()
    assert (answer.status_code, said["decision"]) == (200, False)
    assert said["context"]["reasons"] == ["missing_scope"]
    assert said["context"]["missing_scopes"] == ["devboxes:write"]
    assert said["context"]["operation"] == "shutdownDevbox"
    assert "lacks devboxes:write" in said["context"]["reason"]
    assert f"keyscope keys update {reader}" in said["context"]["next"][0]


CALLS = [
    ("GET", "/v1/devboxes", True),
    ("HEAD", "/v1/devboxes", True),
    ("GET", "/v1/devboxes?limit=3", True),
    ("GET", "/v1/devboxes/dbx_1", True),
    ("GET", "/v1/devboxes/{id}", True),
    ("GET", "/v1/devboxes/{devboxId}", True),
    ("POST", "/v1/devboxes", False),
    ("POST", "/v1/devboxes/{id}/shutdown", False),
    ("GET", "/v1/objects", False),
    ("GET", "/v1/devboxes/disk_snapshots", False),
    ("GET", "/v1/{anything}", False),
    ("GET", "/v1/unlisted", False),
    ("DELETE", "/v1/devboxes", False),
    ("GET", "/keyscope/me", True),
]


@pytest.mark.parametrize(("method", "path", "decision"), CALLS)
def test_a_route_is_a_path_or_a_template(live: Live, reader: str, method: str, path: str, decision: bool) -> None:
    assert allowed(live, asked(reader, method, path)) is decision


@pytest.mark.parametrize(("method", "path", "decision"), [call for call in CALLS if "{" not in call[1]])
def test_the_decision_is_the_gates(live: Live, method: str, path: str, decision: bool) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    assert (live.call(method, path, key).status_code == 200) is decision


BAD_PATHS = ["", "v1/devboxes", "//v1/devboxes", "/v1/devboxes/", "/v1/../v1/devboxes", "/v1/a{b}", "/v1/{}}", "/v1/☃"]


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_path_that_the_gate_refuses_is_no(live: Live, path: str) -> None:
    key_id = live.call("GET", "/keyscope/me").json()["id"]  # even for a key that may do everything
    said = evaluate(live, asked(key_id, "GET", path)).json()
    assert (said["decision"], said["context"]["reasons"]) == (False, ["invalid_target"])


OPERATIONS = [
    ("getDevbox", "operation", "getDevbox", True),
    ("GET", "operation", "getDevbox", True),
    ("HEAD", "operation", "getDevbox", True),
    ("getDevbox", "route", "/v1/devboxes/dbx_1", True),
    ("getDevbox", "route", "/v1/devboxes/{id}", True),
    ("getDevbox", "devbox", "dbx_1", True),
    ("shutdownDevbox", "operation", "shutdownDevbox", False),
    ("shutdownDevbox", "devbox", "dbx_1", False),
    ("getDevbox", "operation", "listDevboxes", False),
    ("getDevbox", "route", "/v1/devboxes", False),
    ("getDevbox", "route", "/v1/unlisted", False),
    ("POST", "operation", "getDevbox", False),
    ("GET", "operation", "noOperation", False),
    ("noOperation", "operation", "noOperation", False),
    ("GET", "devbox", "dbx_1", False),
    ("get", "route", "/v1/devboxes", False),
    ("CONNECT", "route", "/v1/devboxes", False),
]


@pytest.mark.parametrize(("action", "kind", "name", "decision"), OPERATIONS)
def test_an_operation_can_be_asked_about(
    live: Live, reader: str, action: str, kind: str, name: str, decision: bool
) -> None:
    assert allowed(live, asked(reader, action, name, kind)) is decision


def test_the_body_decides_where_the_policy_says_so(live: Live) -> None:
    key_id = live.mint("devboxes:write")["id"]
    create = ("POST", "/v1/devboxes")
    assert not allowed(live, asked(key_id, *create))  # unknown body: every condition counts
    assert allowed(live, asked(key_id, *create, body={"name": "x"}))
    assert allowed(live, asked(key_id, *create, body=None))
    assert not allowed(live, asked(key_id, *create, body={"blueprint_id": "bp_1"}))
    assert not allowed(live, asked(key_id, *create, body='{"name": "x"}'))  # text, not JSON that was read


def test_a_subject_is_a_key_of_this_account(live: Live, world: World, reader: str) -> None:
    foreign = world.other.id
    for subject in ({"type": "user", "id": reader}, {"type": "key", "id": foreign}, {"type": "key", "id": "key_0"}):
        said = evaluate(live, {**asked(reader, "GET", "/v1/devboxes"), "subject": subject}).json()
        assert (said["decision"], said["context"]["reasons"]) == (False, ["unknown_subject"])


def test_revoking_suspending_and_narrowing_count_at_once(live: Live) -> None:
    parent = live.mint("account:write", "devboxes:read")
    made = live.mint("devboxes:read", by=parent["key_secret"])
    question = asked(made["id"], "GET", "/v1/devboxes")
    path = f"/v1/restricted_keys/{parent['id']}"
    decisions = [allowed(live, question)]
    changes: list[tuple[str, Any]] = [("/suspend", {}), ("/resume", {}), ("", {"scopes": []}), ("/revoke", {})]
    for change, body in changes:
        assert live.call("POST", path + change, json=body).status_code == 200
        decisions.append(allowed(live, question))
    assert decisions == [True, False, True, False, False]
    assert evaluate(live, question).json()["context"]["reasons"] == ["revoked", "missing_scope"]


def test_what_a_standard_key_may_do_needs_no_row_in_the_policy(live: Live) -> None:
    key_id = live.call("GET", "/keyscope/me").json()["id"]
    assert allowed(live, asked(key_id, "DELETE", "/v1/unlisted"))


def test_unknown_members_are_ignored(live: Live, reader: str) -> None:
    question = asked(reader, "GET", "/v1/devboxes")
    for name in ("subject", "action", "resource"):
        question[name]["hue"] = 1
    assert allowed(live, {**question, "hue": [1], "context": {"time": "noon"}})


def _without(path: str) -> dict[str, Any]:
    question: dict[str, Any] = asked("key_1", "GET", "/v1/devboxes")
    name, _, member = path.partition(".")
    if member:
        del question[name][member]
    else:
        del question[name]
    return question


MISSING = ["subject", "action", "resource", "subject.type", "subject.id", "action.name", "resource.type", "resource.id"]


@pytest.mark.parametrize("path", MISSING)
def test_a_missing_member_is_400(live: Live, path: str) -> None:
    answer = evaluate(live, _without(path))
    assert answer.status_code == 400
    assert f"$.{path}" in answer.json()


@pytest.mark.parametrize("path", [*MISSING, "context", "subject.properties", "resource.properties"])
@pytest.mark.parametrize("value", [None, 3, [], True])
def test_a_member_of_another_type_is_400(live: Live, path: str, value: Any) -> None:
    question: dict[str, Any] = asked("key_1", "GET", "/v1/devboxes")
    name, _, member = path.partition(".")
    if member:
        question[name][member] = value
    else:
        question[name] = value
    assert evaluate(live, question).status_code == 400


GOOD = json.dumps(asked("key_1", "GET", "/v1/devboxes"))
BAD_BODIES = {
    "empty": ("", JSON),
    "no JSON": ("{", JSON),
    "no object": ("[]", JSON),
    "null": ("null", JSON),
    "a repeated member": (GOOD.replace('"action"', '"subject": {}, "action"'), JSON),
    "a byte order mark": ("\ufeff" + GOOD, JSON),
    "nested too deep": (GOOD[:-1] + ', "context": ' + '{"a":' * 40 + "1" + "}" * 41, JSON),
    "a lone surrogate": (GOOD.replace("key_1", "\\ud800"), JSON),
    "NaN": (GOOD[:-1] + ', "context": {"a": NaN}}', JSON),
    "another media type": (GOOD, {"content-type": "text/plain"}),
    "no media type": (GOOD, {}),
    "two media types": (GOOD, {"content-type": "application/json, text/plain"}),
}


@pytest.mark.parametrize("name", BAD_BODIES)
@pytest.mark.parametrize("path", ALL)
def test_a_body_that_is_not_json_in_one_reading_is_400(live: Live, path: str, name: str) -> None:
    body, headers = BAD_BODIES[name]
    answer = live.call("POST", path, content=body.encode(), headers=headers)
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/json")
    assert isinstance(answer.json(), str)


@pytest.mark.parametrize("path", ALL)
def test_who_asks_must_be_authorised(live: Live, reader: str, path: str) -> None:
    plain = live.mint("devboxes:write")["key_secret"]
    question = asked(reader, "GET", "/v1/devboxes")
    nobody, stranger, refused = (evaluate(live, question, key, path) for key in ("", "rk_" + "0" * 49, plain))
    assert [nobody.status_code, stranger.status_code, refused.status_code] == [401, 401, 403]
    assert nobody.headers["www-authenticate"] == 'Bearer realm="keyscope"'
    assert all(isinstance(answer.json(), str) for answer in (nobody, stranger, refused))


@pytest.mark.parametrize("path", ALL)
def test_the_request_id_comes_back_in_every_answer(live: Live, reader: str, path: str) -> None:
    for key, body in ((None, asked(reader, "GET", "/v1/devboxes")), (None, {}), ("", {})):
        answer = evaluate(live, body, key, path, headers={"x-request-id": "bfe9eb29-ab87"})
        assert answer.headers["x-request-id"] == "bfe9eb29-ab87"
    assert "x-request-id" not in evaluate(live, {}, path=path).headers


@pytest.mark.parametrize("path", ALL)
def test_a_question_is_a_post(live: Live, path: str) -> None:
    answer = live.call("GET", path)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_a_body_beyond_the_limit_is_refused(live: Live) -> None:
    answer = live.call("POST", EVALUATION, content=b" " * ((1 << 20) + 1), headers=JSON)
    assert (answer.status_code, isinstance(answer.json(), str)) == (413, True)


def many(live: Live, body: dict[str, Any]) -> list[Any]:
    answer = evaluate(live, body, path=EVALUATIONS)
    assert answer.status_code == 200, answer.text
    found: list[Any] = answer.json()["evaluations"]
    return found


def test_evaluations_come_in_the_order_asked_with_defaults_filled_in(live: Live, reader: str) -> None:
    items = [
        {},
        {"action": {"name": "POST"}},
        {"resource": {"type": "route", "id": "/v1/objects"}},
        {"subject": {"type": "key", "id": "key_0"}},
    ]
    found = many(live, {**asked(reader, "GET", "/v1/devboxes"), "evaluations": items})
    assert [one["decision"] for one in found] == [True, False, False, False]
    assert found[3]["context"]["reasons"] == ["unknown_subject"]


def test_a_default_is_replaced_whole(live: Live) -> None:
    key_id = live.mint("devboxes:write")["id"]
    plain = asked(key_id, "POST", "/v1/devboxes", body={"name": "x"})
    items: list[dict[str, Any]] = [{}, {"resource": {"type": "route", "id": "/v1/devboxes"}}]
    found = many(live, {**plain, "evaluations": items})
    assert [one["decision"] for one in found] == [True, False]  # the second has no properties any more


@pytest.mark.parametrize("more", [{}, {"evaluations": []}, {"evaluations": None}])
def test_without_evaluations_it_is_a_single_one(live: Live, reader: str, more: dict[str, Any]) -> None:
    question = {**asked(reader, "GET", "/v1/devboxes"), **more}
    assert evaluate(live, question, path=EVALUATIONS).json() == {"decision": True}
    assert evaluate(live, {**more, "subject": {}}, path=EVALUATIONS).status_code == 400


YES, NO = {"action": {"name": "GET"}}, {"action": {"name": "POST"}}


@pytest.mark.parametrize(
    ("semantic", "items", "decisions"),
    [
        (None, [NO, YES, NO], [False, True, False]),
        ("execute_all", [NO, YES, NO], [False, True, False]),
        ("deny_on_first_deny", [YES, NO, YES], [True, False]),
        ("deny_on_first_deny", [YES, YES], [True, True]),
        ("permit_on_first_permit", [NO, YES, NO], [False, True]),
        ("permit_on_first_permit", [NO, NO], [False, False]),
    ],
)
def test_the_semantic_says_when_to_stop(
    live: Live, reader: str, semantic: str | None, items: list[Any], decisions: list[bool]
) -> None:
    options = {"options": {"evaluations_semantic": semantic}} if semantic else {}
    found = many(live, {**asked(reader, "GET", "/v1/devboxes"), "evaluations": items, **options})
    assert [one["decision"] for one in found] == decisions


@pytest.mark.parametrize("options", [{"evaluations_semantic": "some"}, {"evaluations_semantic": 1}, [], None])
def test_an_unknown_semantic_is_400(live: Live, reader: str, options: Any) -> None:
    body = {**asked(reader, "GET", "/v1/devboxes"), "evaluations": [{}], "options": options}
    assert evaluate(live, body, path=EVALUATIONS).status_code == 400


def test_a_fault_in_one_evaluation_is_that_ones_no(live: Live, reader: str) -> None:
    items: list[Any] = [{}, {"resource": {"type": "route"}}, {"action": 3}, {}]
    found = many(live, {**asked(reader, "GET", "/v1/devboxes"), "evaluations": items})
    assert [one["decision"] for one in found] == [True, False, False, True]
    assert found[1]["context"]["error"]["status"] == 400
    assert "$.resource.id" in found[1]["context"]["error"]["message"]


@pytest.mark.parametrize("items", [{}, 3, [3], [{}, None], [{}] * 1001])
def test_evaluations_are_at_most_1000_objects(live: Live, reader: str, items: Any) -> None:
    body = {**asked(reader, "GET", "/v1/devboxes"), "evaluations": items}
    assert evaluate(live, body, path=EVALUATIONS).status_code == 400


def test_a_thousand_evaluations_are_answered(live: Live, reader: str) -> None:
    found = many(live, {**asked(reader, "GET", "/v1/devboxes"), "evaluations": [YES, NO] * 500})
    assert [one["decision"] for one in found] == [True, False] * 500


def test_discovery_names_the_endpoints_that_answer(live: Live, reader: str) -> None:
    answer = live.call("GET", CONFIGURATION, "")
    said = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert said.pop("policy_decision_point") == live.url
    assert sorted(url.removeprefix(live.url) for url in said.values()) == sorted(ALL)
    for url in said.values():
        assert evaluate(live, asked(reader, "GET", "/v1/devboxes"), path=url.removeprefix(live.url)).status_code == 200


def test_there_is_no_search_for_subjects_and_discovery_names_none(live: Live, reader: str) -> None:
    assert "search_subject_endpoint" not in live.call("GET", CONFIGURATION, "").json()
    question = asked(reader, "GET", "/v1/devboxes")
    assert evaluate(live, question, path="/keyscope/access/v1/search/subject").status_code == 404
