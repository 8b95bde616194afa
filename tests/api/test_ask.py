"""What a key may ask about itself, what an API server may ask about a key, and what needs no key."""

from __future__ import annotations

from typing import Any

import pytest

from keyscope.policy.document import load
from keyscope.policy.own import with_own_operations
from tests.live import Live, wire_scopes


def verify(live: Live, key: str, by: str | None = None, **asked: Any) -> Any:
    return live.call("POST", "/keyscope/verify", by, json={"key": key, **asked})


def test_me_is_what_the_key_is(live: Live) -> None:
    made = live.mint("devboxes:read", name="who")
    me = live.call("GET", "/keyscope/me", made["key_secret"]).json()
    assert (me["id"], me["name"], me["kind"], me["scopes"]) == (made["id"], "who", "restricted", ["devboxes:read"])
    assert live.call("GET", "/keyscope/me").json()["full_access"] is True


def test_can_speaks_like_the_refusal(live: Live) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    can = live.call("GET", "/keyscope/can?method=POST&path=/v1/devboxes/dbx_1/shutdown", key).json()
    refused = live.call("POST", "/v1/devboxes/dbx_1/shutdown", key, json={}).json()
    assert can["allowed"] is False
    assert can["missing_scopes"] == refused["missing_scopes"] == ["devboxes:write"]
    assert can["operation"] == refused["operation"] == "shutdownDevbox"
    assert " ".join([can["message"], *can["next"]]) == refused["message"]


def test_can_says_yes(live: Live) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    can = live.call("GET", "/keyscope/can", key, params={"method": "HEAD", "path": "/v1/devboxes?limit=1"}).json()
    assert (can["allowed"], can["operation"], can["missing_scopes"]) == (True, "listDevboxes", [])


@pytest.mark.parametrize("query", ["", "method=GET", "path=/v1/devboxes", "method=get&path=/v1/devboxes"])
def test_can_names_what_is_missing_from_the_question(live: Live, query: str) -> None:
    assert live.call("GET", f"/keyscope/can?{query}").status_code == 400


def test_the_command_in_a_refusal_grants_what_was_missing(live: Live) -> None:
    made = live.mint("devboxes:read", "objects:read")
    refused = live.call("POST", "/v1/devboxes", made["key_secret"], json={}).json()
    command = refused["next"][0].split(": ", 1)[1].split()
    assert command[:4] == ["keyscope", "keys", "update", made["id"]]
    scopes = wire_scopes([word for word in command[4:] if word != "--scope"])
    live.call("POST", f"/v1/restricted_keys/{made['id']}", json={"scopes": scopes})
    assert live.call("POST", "/v1/devboxes", made["key_secret"], json={}).status_code == 200
    assert live.call("GET", "/v1/objects", made["key_secret"]).status_code == 200


def test_the_operations_are_the_policy(live: Live) -> None:
    policy = with_own_operations(load("runloop"))
    served = live.call("GET", "/keyscope/operations", live.mint()["key_secret"]).json()
    assert served["policy"] == "runloop"
    assert [row["id"] for row in served["operations"]] == [row.id for row in policy.operations]
    row = next(row for row in served["operations"] if row["id"] == "createDevbox")
    assert (row["method"], row["path"], row["needs"]) == ("POST", "/v1/devboxes", ["devboxes:write"])


def test_verify_says_yes_and_no_with_200(live: Live) -> None:
    made = live.mint("devboxes:read")
    key = made["key_secret"]
    good = verify(live, key).json()
    assert (good["valid"], good["allowed"], good["key"]["id"]) == (True, True, made["id"])
    assert verify(live, key, method="GET", path="/v1/devboxes").json()["allowed"] is True
    denied = verify(live, key, method="POST", path="/v1/devboxes").json()
    assert (denied["valid"], denied["allowed"], denied["missing_scopes"]) == (True, False, ["devboxes:write"])
    scoped = verify(live, key, scopes=wire_scopes(["devboxes:read", "objects:read"])).json()
    assert (scoped["allowed"], scoped["missing_scopes"]) == (False, ["objects:read"])


def test_verify_looks_into_the_body(live: Live) -> None:
    key = live.mint("devboxes:write")["key_secret"]
    call = {"method": "POST", "path": "/v1/devboxes"}
    assert verify(live, key, **call, body={"name": "x"}).json()["allowed"] is True
    denied = verify(live, key, **call, body={"blueprint_id": "bpt_1"}).json()
    assert denied["missing_scopes"] == ["blueprints:read"]


@pytest.mark.parametrize("key", ["", "rk_x", "ak_" + "0" * 49, "é"])
def test_verify_tells_nothing_about_a_key_that_is_not_valid(live: Live, key: str) -> None:
    answer = verify(live, key)
    assert answer.status_code == 200
    assert answer.json()["valid"] is False
    assert answer.json()["key"] is None


def test_verify_needs_a_key_of_its_own(live: Live) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    assert verify(live, key, by="").status_code == 401
    assert verify(live, key, by=key).json()["missing_scopes"] == ["account:read"]
    assert verify(live, key, by=live.mint("account:read")["key_secret"]).json()["valid"] is True


@pytest.mark.parametrize("path", ["/keyscope/healthz", "/keyscope/readyz", "/keyscope/docs", "/keyscope/openapi.json"])
def test_health_and_documents_need_no_key(live: Live, path: str) -> None:
    assert live.call("GET", path, "").status_code == 200


def test_an_unknown_path_of_ours_is_answered_here(live: Live) -> None:
    response = live.call("GET", "/keyscope/nothing")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    wrong = live.call("DELETE", "/v1/restricted_keys")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert set(wrong.headers["allow"].split(", ")) == {"GET", "POST"}


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("path", ["/v1/devboxes", "/v1/nowhere", "/x", "/v1/restricted_keys", "/keyscope/me"])
def test_without_a_key_nothing_is_answered(live: Live, method: str, path: str) -> None:
    assert live.call(method, path, "").status_code in (401, 405)


def test_a_401_says_nothing_about_why(live: Live) -> None:
    revoked = live.mint()
    live.revoke(revoked["id"])
    bodies = {
        live.call("GET", "/v1/devboxes", key).content for key in (revoked["key_secret"], "rk_x", "ak_" + "0" * 49)
    }
    assert len(bodies) == 1
