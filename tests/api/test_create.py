"""Runloop's two operations, exactly (DESIGN 3.1)."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.live import Live, wire_scopes

SCHEMA = json.loads((Path(__file__).parents[1] / "data" / "restricted-key-schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA, format_checker=Draft202012Validator.FORMAT_CHECKER)
HOUR_MS = 3_600_000
READ_DEVBOXES = {"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}


def soon() -> int:
    return time.time_ns() // 1_000_000 + HOUR_MS


def test_the_reply_has_runloops_five_members_and_validates(live: Live) -> None:
    ends = soon()
    asked = {"name": "agent", "scopes": wire_scopes(["devboxes:read", "objects:none"]), "expires_at_ms": ends}
    response = live.call("POST", "/v1/restricted_keys", json=asked)
    reply = response.json()
    assert list(reply) == ["id", "name", "key_secret", "scopes", "expires_at_ms"]
    assert (reply["name"], reply["scopes"], reply["expires_at_ms"]) == ("agent", asked["scopes"], ends)
    VALIDATOR.validate(reply)
    assert response.headers["cache-control"] == "no-store"


def test_a_standard_key_reply_has_runloops_four_members(live: Live) -> None:
    assert list(live.mint_standard(name="ci", expires_at_ms=soon())) == ["id", "name", "key_secret", "expires_at_ms"]


@pytest.mark.parametrize("content", [{}, {"content": b""}, {"json": {}}, {"json": {"scopes": []}}])
def test_no_scopes_means_no_access_and_a_readable_name(live: Live, content: dict[str, Any]) -> None:
    reply = live.call("POST", "/v1/restricted_keys", **content).json()
    VALIDATOR.validate(reply)
    assert reply["scopes"] == []
    assert reply["name"].startswith("restricted-")
    assert live.call("GET", "/v1/devboxes", reply["key_secret"]).status_code == 403


def test_a_key_without_an_expiry_leaves_the_member_out(live: Live) -> None:
    # The schema's integer cannot be null, and both SDKs read an absent member as None.
    reply = live.mint("devboxes:read", expires_at_ms=None)
    assert "expires_at_ms" not in reply
    VALIDATOR.validate(reply)


def test_the_same_scope_twice_counts_once(live: Live) -> None:
    reply = live.call("POST", "/v1/restricted_keys", json={"scopes": [READ_DEVBOXES, READ_DEVBOXES]}).json()
    assert reply["scopes"] == [READ_DEVBOXES]


FAULTY: list[tuple[str, str, list[str]]] = [
    ("unknown member", '{"nmae": "x"}', ["$.nmae"]),
    ("two faults at once", '{"nmae": "x", "expires_at_ms": "soon"}', ["$.expires_at_ms", "$.nmae"]),
    ("duplicate member", '{"name": "a", "name": "b"}', ["$.name"]),
    ("duplicate and unknown", '{"name": "a", "name": "b", "x": 1}', ["$.name", "$.x"]),
    ("NaN", '{"expires_at_ms": NaN}', ["$.expires_at_ms"]),
    ("name is null", '{"name": null}', ["$.name"]),
    ("scopes are null", '{"scopes": null}', ["$.scopes"]),
    ("name is empty", '{"name": ""}', ["$.name"]),
    ("name has a line break", '{"name": "a\\nb"}', ["$.name"]),
    ("expiry zero", '{"expires_at_ms": 0}', ["$.expires_at_ms"]),
    ("expiry in seconds", f'{{"expires_at_ms": {int(time.time()) + 60}}}', ["$.expires_at_ms"]),
    ("expiry a boolean", '{"expires_at_ms": true}', ["$.expires_at_ms"]),
    ("expiry a float", '{"expires_at_ms": 1.5}', ["$.expires_at_ms"]),
    (
        "an entry without level",
        '{"scopes": [{"resource_type": "RESOURCE_TYPE_OBJECTS"}]}',
        ["$.scopes[0].access_level"],
    ),
    (
        "two unknown words",
        '{"scopes": [{"resource_type": "RESOURCE_TYPE_ALL", "access_level": "ACCESS_LEVEL_ADMIN"}]}',
        ["$.scopes[0].access_level", "$.scopes[0].resource_type"],
    ),
    ("not an object", "[]", ["$"]),
    ("not JSON", "{", ["$"]),
]


@pytest.mark.parametrize(("body", "paths"), [row[1:] for row in FAULTY], ids=[row[0] for row in FAULTY])
def test_every_fault_is_named_with_its_path(live: Live, body: str, paths: list[str]) -> None:
    response = live.call("POST", "/v1/restricted_keys", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 400, response.text
    problem = response.json()
    assert problem["code"] == "invalid_request"
    assert sorted({fault["path"] for fault in problem["faults"]}) == paths


def test_the_hint_for_seconds_is_given(live: Live) -> None:
    response = live.call("POST", "/v1/restricted_keys", json={"expires_at_ms": int(time.time()) + 60})
    assert "use milliseconds" in response.json()["message"]


def test_the_same_type_with_two_levels_is_refused(live: Live) -> None:
    scopes = wire_scopes(["devboxes:read", "devboxes:write"])
    response = live.call("POST", "/v1/restricted_keys", json={"scopes": scopes})
    assert (response.status_code, response.json()["faults"][0]["path"]) == (400, "$.scopes")


def test_scopes_on_a_standard_key_are_refused_rather_than_ignored(live: Live) -> None:
    response = live.call("POST", "/v1/apikeys", json={"scopes": [READ_DEVBOXES]})
    assert response.json()["faults"] == [{"path": "$.scopes", "message": "unknown member; leave it out"}]


def test_a_repeated_request_gets_the_same_key_and_one_exists(live: Live) -> None:
    headers = {"x-request-id": "stainless-python-retry-1"}
    first = live.call("POST", "/v1/restricted_keys", json={"name": "once"}, headers=headers)
    again = live.call("POST", "/v1/restricted_keys", json={"name": "once"}, headers=headers)
    assert first.json() == again.json()
    listed = live.call("GET", "/v1/restricted_keys?name=once").json()
    assert (len(listed["restricted_keys"]), listed["total_count"]) == (1, 1)


def test_a_repeated_request_is_answered_after_a_crash(live: Live) -> None:
    headers = {"idempotency-key": "before-the-crash"}
    first = live.call("POST", "/v1/restricted_keys", json={"name": "crash"}, headers=headers)
    live.kill()
    live.start()
    again = live.call("POST", "/v1/restricted_keys", json={"name": "crash"}, headers=headers)
    assert first.json() == again.json()


def test_the_same_request_id_with_another_body_is_a_conflict_that_is_not_retried(live: Live) -> None:
    headers = {"x-request-id": "stainless-python-retry-2"}
    assert live.call("POST", "/v1/restricted_keys", json={"name": "a"}, headers=headers).status_code == 200
    for path, body in (("/v1/restricted_keys", {"name": "b"}), ("/v1/apikeys", {"name": "a"})):
        response = live.call("POST", path, json=body, headers=headers)
        assert (response.status_code, response.json()["code"]) == (409, "idempotency_conflict")
        assert response.headers["x-should-retry"] == "false"


def test_the_request_id_of_one_caller_is_nothing_to_another(live: Live) -> None:
    headers = {"x-request-id": "stainless-python-retry-3"}
    other = live.mint_standard()["key_secret"]
    mine = live.call("POST", "/v1/restricted_keys", json={"name": "a"}, headers=headers).json()
    theirs = live.call("POST", "/v1/restricted_keys", other, json={"name": "a"}, headers=headers).json()
    assert mine["id"] != theirs["id"]
    assert mine["key_secret"] != theirs["key_secret"]


def test_a_restricted_key_mints_inside_itself_only(live: Live) -> None:
    ends = soon()
    minter = live.mint("account:write", "devboxes:read", expires_at_ms=ends)["key_secret"]
    child = live.mint("devboxes:read", by=minter)
    assert child["expires_at_ms"] == ends, "a child ends with its parent at the latest"
    wider = live.call("POST", "/v1/restricted_keys", minter, json={"scopes": wire_scopes(["devboxes:write"])})
    assert (wider.status_code, wider.json()["code"]) == (403, "exceeds_parent")
    longer = live.call("POST", "/v1/restricted_keys", minter, json={"expires_at_ms": ends + 1})
    assert (longer.status_code, longer.json()["code"]) == (403, "exceeds_parent")
    standard = live.call("POST", "/v1/apikeys", minter, json={})
    assert (standard.status_code, standard.json()["code"]) == (403, "standard_key_required")


def test_a_key_without_account_write_mints_nothing(live: Live) -> None:
    for scopes in ([], ["account:read"], ["devboxes:write"]):
        key = live.mint(*scopes)["key_secret"]
        response = live.call("POST", "/v1/restricted_keys", key, json={})
        assert (response.status_code, response.json()["missing_scopes"]) == (403, ["account:write"])
