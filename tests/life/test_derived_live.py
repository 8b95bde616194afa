"""Derived keys at a live server: they do less, end with their root, and manage nothing."""

from __future__ import annotations

import time
from typing import Any

from keyscope.derive import attenuate, derived_id
from tests.life.asking import KEYS, done, fault, now_ms, status, verb
from tests.live import Live


def test_a_derived_key_does_what_was_left_and_no_more(live: Live) -> None:
    made = live.mint("devboxes:write", "objects:read")
    key = attenuate(made["key_secret"], scopes=["devboxes:read"])
    assert live.call("GET", "/v1/devboxes", key).status_code == 200
    refused = live.call("POST", "/v1/devboxes", key, json={})
    assert refused.json()["missing_scopes"] == ["devboxes:write"]
    assert live.call("GET", "/v1/objects", key).status_code == 403


def test_it_cannot_name_itself_more_than_its_root_has(live: Live) -> None:
    made = live.mint("devboxes:read")
    key = attenuate(made["key_secret"], scopes=["devboxes:write", "account:write"])
    assert live.call("POST", "/v1/devboxes", key, json={}).status_code == 403
    assert live.call("POST", KEYS, key, json={}).status_code == 403


def test_a_standard_key_can_be_narrowed_too(live: Live) -> None:
    key = attenuate(live.first, scopes=["devboxes:read"])
    shown = done(live.call("GET", "/keyscope/me", key))
    assert (shown["full_access"], shown["scopes"]) == (False, ["devboxes:read"])
    assert shown["derived_id"] == derived_id(key)
    assert done(live.call("GET", "/keyscope/me"))["derived_id"] is None
    assert live.call("POST", "/v1/devboxes", key, json={}).status_code == 403


def test_its_restrictions_hold_beside_those_of_its_root(live: Live) -> None:
    made = live.mint("devboxes:write", restrictions={"instances": {"devboxes": ["ci-*"]}})
    key = attenuate(made["key_secret"], restrictions={"deny": ["shutdownDevbox"], "instances": {"devboxes": ["*-1"]}})
    assert live.call("GET", "/v1/devboxes/ci-1", key).status_code == 200
    assert live.call("GET", "/v1/devboxes/ci-2", key).status_code == 403
    assert live.call("GET", "/v1/devboxes/x-1", key).status_code == 403
    denied = fault(live.call("POST", "/v1/devboxes/ci-1/shutdown", key), 403, "restricted")
    assert "is denied this operation" in denied
    holders = [one["holder"] for one in done(live.call("GET", "/keyscope/me", key))["restrictions"]]
    assert holders == [derived_id(key), made["id"]]


def test_a_standard_key_can_be_restricted_too_and_then_reaches_nothing_that_the_policy_does_not_list(
    live: Live,
) -> None:
    key = attenuate(live.first, restrictions={"instances": {"devboxes": ["dbx_a"]}})
    assert live.call("GET", "/v1/devboxes/dbx_a", key).status_code == 200
    assert live.call("GET", "/v1/devboxes/dbx_b", key).status_code == 403
    assert live.call("GET", "/v1/no/such", live.first).status_code == 200
    assert live.call("GET", "/v1/no/such", key).status_code == 403


def test_a_restriction_that_names_what_the_policy_does_not_have_makes_it_no_key(live: Live) -> None:
    made = live.mint("devboxes:write")
    assert status(live, attenuate(made["key_secret"], restrictions={"deny": ["shutDownDevbox"]})) == 401
    assert status(live, attenuate(made["key_secret"], restrictions={"own": ["devbox"]})) == 401


def test_it_ends_at_its_own_time(live: Live) -> None:
    made = live.mint("devboxes:read")
    ends = now_ms() + 700
    key = attenuate(made["key_secret"], expires_at_ms=ends)
    assert done(live.call("GET", "/keyscope/me", key))["expires_at_ms"] == ends
    time.sleep(max(0.0, ends / 1000 - time.time()) + 0.05)
    assert (status(live, key), status(live, made["key_secret"])) == (401, 200)


def test_it_follows_its_root(live: Live) -> None:
    made = live.mint("devboxes:write")
    key = attenuate(attenuate(made["key_secret"], label="one"), scopes=["devboxes:write"])
    assert status(live, key) == 200
    verb(live, made["id"], "suspend")
    assert status(live, key) == 401
    verb(live, made["id"], "resume")
    assert status(live, key) == 200
    done(live.call("POST", f"{KEYS}/{made['id']}", json={"scopes": []}))
    assert live.call("GET", "/v1/devboxes", key).status_code == 403
    live.revoke(made["id"])
    assert status(live, key) == 401


def test_rotation_ends_it_with_the_overlap(live: Live) -> None:
    made = live.mint("devboxes:read")
    key = attenuate(made["key_secret"])
    turned = done(verb(live, made["id"], "rotate", overlap_ms=60_000))
    assert status(live, key) == status(live, attenuate(turned["key_secret"])) == 200
    done(verb(live, made["id"], "rotate"))
    assert status(live, key) == 401


def test_one_is_revoked_alone_with_what_was_derived_from_it(live: Live) -> None:
    made = live.mint("devboxes:read")
    first, second = attenuate(made["key_secret"]), attenuate(made["key_secret"])
    third = attenuate(first)
    assert {status(live, key) for key in (first, second, third)} == {200}
    path = f"{KEYS}/{made['id']}/derived/{derived_id(first)}/revoke"
    answer = done(live.call("POST", path, json={"reason": "lost"}))
    assert answer == {"key_id": made["id"], "derived_id": derived_id(first), "status": "revoked"}
    assert [status(live, key) for key in (first, second, third, made["key_secret"])] == [401, 200, 401, 200]
    assert done(live.call("POST", path)) == answer


def test_a_derived_key_ends_itself_alone(live: Live) -> None:
    made = live.mint("devboxes:read")
    key = attenuate(made["key_secret"])
    ended = done(live.call("POST", "/keyscope/me/revoke", key))
    assert ended == {"id": derived_id(key), "status": "revoked", "died_with_it": 0}
    assert (status(live, key), status(live, made["key_secret"])) == (401, 200)


def test_it_manages_nothing_not_even_its_own_root(live: Live) -> None:
    key = attenuate(live.first, label="an agent's")
    made = live.mint("devboxes:read")
    calls: list[tuple[str, dict[str, Any]]] = [
        (KEYS, {}),
        ("/v1/apikeys", {}),
        (f"{KEYS}/{made['id']}", {"name": "other"}),
        *((f"{KEYS}/{made['id']}/{name}", {}) for name in ("revoke", "suspend", "resume", "undelete", "rotate")),
        (f"{KEYS}/{made['id']}/derived/drv_{'0' * 22}/revoke", {}),
        ("/keyscope/panic", {"all_restricted": True}),
    ]
    for path, body in calls:
        fault(live.call("POST", path, key, json=body), 403, "derived_key")
    assert status(live, made["key_secret"]) == 200
    assert live.call("GET", KEYS, key).status_code == 200


def test_one_key_cannot_end_what_was_derived_from_another(live: Live) -> None:
    made, other = live.mint("devboxes:read"), live.mint("account:write")
    key = attenuate(made["key_secret"])
    path = f"{KEYS}/{made['id']}/derived/{derived_id(key)}/revoke"
    fault(live.call("POST", path, other["key_secret"]), 403, "outside_tree")
    elsewhere = f"{KEYS}/{other['id']}/derived/{derived_id(key)}/revoke"
    done(live.call("POST", elsewhere, other["key_secret"]))
    assert status(live, key) == 200


def test_bad_ids_and_bad_texts_are_refused(live: Live) -> None:
    made = live.mint("devboxes:read")
    for wrong in ("drv_short", "key_0000000000000000000000", "drv_" + "!" * 22):
        assert live.call("POST", f"{KEYS}/{made['id']}/derived/{wrong}/revoke").status_code == 400
    key = attenuate(made["key_secret"])
    for broken in (key[:-1], key + "0", key[:60] + ("A" if key[60] != "A" else "B") + key[61:], "dk_" + "A" * 200):
        assert status(live, broken) == 401


def test_forward_auth_takes_derived_keys(live: Live) -> None:
    made = live.mint("devboxes:read")
    headers = {"x-original-uri": "/v1/devboxes", "x-original-method": "GET"}
    key = attenuate(made["key_secret"], scopes=["devboxes:read"])
    assert live.call("GET", "/keyscope/authorize/nginx", key, headers=headers).status_code == 200
    none = attenuate(key, scopes=[])
    assert live.call("GET", "/keyscope/authorize/nginx", none, headers=headers).status_code == 403
