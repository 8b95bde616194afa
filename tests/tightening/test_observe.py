"""A key that is observed is let through to what it lacks of its own, and to nothing else; and everybody says so."""

from __future__ import annotations

import json
import time

import pytest

from keyscope.client import Verifier
from keyscope.derive import attenuate
from tests.cli.run import keyscope
from tests.gate.waiting import wait_until
from tests.live import Live
from tests.recorder import Recorder
from tests.tightening.acting import DAY_MS, observe, observed, shown, soon


def test_an_observed_key_is_let_through_until_its_end(live: Live) -> None:
    key = observed(live, "devboxes:read")
    assert live.call("POST", "/v1/devboxes", key["key_secret"], json={}).status_code == 200
    assert observe(live, key, None).json()["observe_until_ms"] is None
    assert live.call("POST", "/v1/devboxes", key["key_secret"], json={}).status_code == 403
    end = int(time.time() * 1000) + 300
    assert observe(live, key, end).status_code == 200
    wait_until(lambda: time.time() * 1000 >= end)
    assert live.call("POST", "/v1/devboxes", key["key_secret"], json={}).status_code == 403
    assert shown(live, key)["observe_until_ms"] is None


def test_what_its_body_calls_for_is_forgiven_too(live: Live) -> None:
    key = observed(live, "devboxes:write")
    asked = {"blueprint_id": "bpt_1"}
    assert live.call("POST", "/v1/devboxes", key["key_secret"], json=asked).status_code == 200
    assert observe(live, key, None).status_code == 200
    assert live.call("POST", "/v1/devboxes", key["key_secret"], json=asked).status_code == 403


def test_a_key_is_never_let_through_to_more_than_the_key_above_it_has(live: Live) -> None:
    parent = live.mint("devboxes:read", "account:write")
    child = observed(live, by=parent["key_secret"])
    assert live.call("GET", "/v1/devboxes", child["key_secret"]).status_code == 200
    assert live.call("POST", "/v1/devboxes", child["key_secret"], json={}).status_code == 403
    assert live.revoke(parent["id"]).status_code == 200
    assert live.call("GET", "/v1/devboxes", child["key_secret"]).status_code == 401


def test_neither_children_nor_derived_keys_of_it_are_observed(live: Live) -> None:
    parent = observed(live, "account:write")
    child = live.mint(by=parent["key_secret"])
    derived = attenuate(parent["key_secret"], label="derived")
    for key in (child["key_secret"], derived):
        assert live.call("GET", "/v1/devboxes", key).status_code == 403
    assert live.call("GET", "/v1/devboxes", parent["key_secret"]).status_code == 200


def test_keyscopes_own_operations_are_never_forgiven(live: Live) -> None:
    key = observed(live, "devboxes:read")["key_secret"]
    assert live.call("GET", "/v1/restricted_keys", key).status_code == 403
    assert live.call("POST", "/v1/restricted_keys", key, json={}).status_code == 403
    assert live.call("GET", "/keyscope/rules", key).status_code == 403


def test_an_observed_key_mints_no_more_than_its_own_scopes(live: Live) -> None:
    parent = observed(live, "account:write")
    body = {"scopes": [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}]}
    assert live.call("POST", "/v1/restricted_keys", parent["key_secret"], json=body).status_code == 403


def test_what_the_policy_does_not_list_stays_refused(live: Live) -> None:
    key = observed(live, "devboxes:read")["key_secret"]
    assert live.call("GET", "/v1/nowhere", key).json()["code"] == "not_in_policy"


def test_suspended_it_is_refused(live: Live) -> None:
    key = observed(live, "devboxes:read")
    live.call("POST", f"/v1/restricted_keys/{key['id']}/suspend", json={})
    assert live.call("POST", "/v1/devboxes", key["key_secret"], json={}).status_code == 401


def test_the_accounts_rules_bound_it(live: Live) -> None:
    allowed = [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_WRITE"}]
    live.call("POST", "/keyscope/rules", json={"allowed_scopes": allowed})
    try:
        key = observed(live, "devboxes:read")["key_secret"]
        assert live.call("POST", "/v1/devboxes", key, json={}).status_code == 200
        assert live.call("GET", "/v1/objects", key).status_code == 403
    finally:
        live.call("POST", "/keyscope/rules", json={})


def test_only_a_standard_key_observes_and_only_for_so_long(live: Live) -> None:
    manager = live.mint("account:write", "devboxes:read")
    child = live.mint("devboxes:read", by=manager["key_secret"])
    refused = observe(live, child, soon(), by=manager["key_secret"])
    assert (refused.status_code, refused.json()["code"]) == (403, "standard_key_required")
    too_long = observe(live, child, soon(15))
    assert (too_long.status_code, too_long.json()["faults"][0]["path"]) == (400, "$.until_ms")
    assert observe(live, child, 1).status_code == 400
    assert observe(live, child, soon(13.9)).status_code == 200
    assert abs(shown(live, child)["observe_until_ms"] - soon(13.9)) < DAY_MS / 24
    live.revoke(child["id"])
    assert observe(live, child, soon()).status_code == 400


def test_the_reply_to_a_mint_has_runloops_five_members_and_no_other(live: Live) -> None:
    reply = live.mint("devboxes:read", expires_at_ms=soon())
    assert sorted(reply) == ["expires_at_ms", "id", "key_secret", "name", "scopes"]


def test_whoever_asks_hears_that_it_is_observed_and_what_it_lacks(live: Live) -> None:
    key = observed(live, "devboxes:read")
    asked = {"key": key["key_secret"], "method": "POST", "path": "/v1/devboxes"}
    said = live.call("POST", "/keyscope/verify", json=asked).json()
    assert (said["allowed"], said["observed_scopes"], said["missing_scopes"]) == (True, ["devboxes:write"], [])
    assert "while it is observed: it lacks devboxes:write" in said["message"]
    assert key["id"] in said["next"][0]
    can = live.call("GET", "/keyscope/can?method=POST&path=/v1/devboxes", key["key_secret"]).json()
    assert (can["allowed"], can["observed_scopes"]) == (True, ["devboxes:write"])


def test_a_question_that_leaves_no_trace_is_answered_by_the_keys_own_scopes(live: Live) -> None:
    key = observed(live, "devboxes:read")
    asked = {"key": key["key_secret"], "method": "POST", "path": "/v1/devboxes", "counts": False}
    said = live.call("POST", "/keyscope/verify", json=asked).json()
    assert (said["allowed"], said["missing_scopes"]) == (False, ["devboxes:write"])


def test_authzen_answers_by_the_keys_own_scopes(live: Live) -> None:
    key = observed(live, "devboxes:read")
    question = {
        "subject": {"type": "key", "id": key["id"]},
        "action": {"name": "POST"},
        "resource": {"type": "route", "id": "/v1/devboxes"},
    }
    answered = live.call("POST", "/keyscope/access/v1/evaluation", json=question).json()
    assert answered["decision"] is False


def test_a_client_keeps_no_answer_that_lets_an_observed_key_through(live: Live) -> None:
    key = observed(live, "devboxes:read")
    call = {"method": "POST", "path": "/v1/devboxes/dbx_1/shutdown"}
    with Verifier(live.url, live.first, max_age_s=3600) as verifier:
        said = verifier.verify(key["key_secret"], **call)
        assert (bool(said), said.observed_scopes) == (True, ("devboxes:write",))
        live.call("POST", f"/v1/restricted_keys/{key['id']}/observe", json={"until_ms": None})
        assert not verifier.verify(key["key_secret"], **call)


def test_the_command_observes_and_ends_it(live: Live) -> None:
    env = {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first}
    key = live.mint("devboxes:read")
    told = json.loads(keyscope("keys", "observe", key["id"], "--for", "2d", "--json", env=env).stdout)
    assert abs(told["observe_until_ms"] - soon(2)) < 60_000
    assert "observed until" in keyscope("keys", "show", key["id"], env=env).stdout
    assert "observed until" not in keyscope("keys", "observe", key["id"], "--off", env=env).stdout
    for words in ((), ("--for", "2d", "--off")):
        assert keyscope("keys", "observe", key["id"], *words, env=env).returncode == 2
    assert "at most 14 days" in keyscope("keys", "observe", key["id"], "--for", "15d", env=env).stderr


@pytest.mark.parametrize("dialect", ["nginx", "caddy"])
def test_a_proxy_that_asks_is_told_the_same(live: Live, dialect: str, upstream: Recorder) -> None:
    key = observed(live, "devboxes:read")["key_secret"]
    prefix = "x-original" if dialect == "nginx" else "x-forwarded"
    headers = {f"{prefix}-uri": "/v1/devboxes/dbx_1/shutdown", f"{prefix}-method": "POST"}
    assert live.call("GET", f"/keyscope/authorize/{dialect}", key, headers=headers).status_code == 200
