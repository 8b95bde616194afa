"""A key is narrowed within what it has; what it lost thereby is offered back, while the keys above it have it."""

from __future__ import annotations

from keyscope.derive import attenuate
from tests.cli.run import keyscope
from tests.live import Live
from tests.tightening.acting import narrow, revert, shown


def scopes(live: Live, key: dict[str, str]) -> list[str]:
    return [entry["resource_type"].removeprefix("RESOURCE_TYPE_").lower() for entry in shown(live, key)["scopes"]]


def test_a_narrowed_key_keeps_what_it_was_left_and_says_what_it_had(live: Live) -> None:
    key = live.mint("devboxes:write", "objects:read")
    told = narrow(live, key, "devboxes:read").json()
    assert [scope["access_level"] for scope in told["narrowed_from"]] == ["ACCESS_LEVEL_WRITE", "ACCESS_LEVEL_READ"]
    assert told["narrowed_at_ms"] >= told["created_at_ms"]
    assert live.call("GET", "/v1/devboxes", key["key_secret"]).status_code == 200
    assert live.call("GET", "/v1/objects", key["key_secret"]).status_code == 403


def test_narrowing_never_widens(live: Live) -> None:
    key = live.mint("devboxes:read")
    refused = narrow(live, key, "devboxes:write", "objects:read")
    assert (refused.status_code, refused.json()["code"]) == (403, "exceeds_parent")
    assert len(refused.json()["faults"]) == 2
    assert scopes(live, key) == ["devboxes"]


def test_the_first_refusal_that_it_caused_offers_to_take_it_back_and_the_offer_works(live: Live) -> None:
    env = {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first}
    key = live.mint("devboxes:write", "objects:read")
    narrow(live, key, "devboxes:write")
    refused = live.call("GET", "/v1/objects", key["key_secret"]).json()
    [step] = refused["next"]
    assert step.startswith(f"{key['id']} was narrowed.")
    assert step.endswith(f"keyscope keys revert {key['id']}")
    assert "keyscope keys revert" in keyscope("keys", "show", key["id"], env=env).stdout
    done = keyscope("keys", "revert", key["id"], env=env)
    assert "objects:read" in done.stdout
    assert live.call("GET", "/v1/objects", key["key_secret"]).status_code == 200
    assert shown(live, key)["narrowed_from"] is None
    assert revert(live, key).status_code == 400


def test_a_refusal_that_it_did_not_cause_offers_nothing_of_the_kind(live: Live) -> None:
    key = live.mint("devboxes:write", "objects:read")
    narrow(live, key, "devboxes:write")
    steps = live.call("GET", "/v1/blueprints", key["key_secret"]).json()["next"]
    assert "keyscope keys update" in steps[0]
    assert "revert" not in "".join(steps)


def test_a_key_below_a_narrowed_one_is_told_which_to_revert(live: Live) -> None:
    parent = live.mint("devboxes:read", "objects:read", "account:write")
    child = live.mint("objects:read", by=parent["key_secret"])
    derived = attenuate(child["key_secret"], label="derived")
    narrow(live, parent, "account:write")
    for key in (child["key_secret"], derived):
        [step] = live.call("GET", "/v1/objects", key).json()["next"]
        assert step.endswith(f"keyscope keys revert {parent['id']}")


def test_what_the_key_above_has_no_longer_is_not_given_back(live: Live) -> None:
    parent = live.mint("devboxes:read", "objects:read", "account:write")
    child = live.mint("devboxes:read", "objects:read", by=parent["key_secret"])
    narrow(live, child, "devboxes:read")
    narrow(live, parent, "devboxes:read", "account:write")
    refused = revert(live, child)
    assert (refused.status_code, refused.json()["code"]) == (403, "exceeds_parent")
    assert scopes(live, child) == ["devboxes"]


def test_only_a_standard_key_reverts_and_any_that_manages_the_key_narrows(live: Live) -> None:
    manager = live.mint("devboxes:read", "objects:read", "account:write")
    child = live.mint("devboxes:read", "objects:read", by=manager["key_secret"])
    assert narrow(live, child, "devboxes:read", by=manager["key_secret"]).status_code == 200
    assert revert(live, child, by=manager["key_secret"]).json()["code"] == "standard_key_required"
    stranger = live.mint("account:write")
    assert narrow(live, child, by=stranger["key_secret"]).json()["code"] == "outside_tree"


def test_an_ordinary_update_of_the_scopes_ends_the_offer(live: Live) -> None:
    key = live.mint("devboxes:write", "objects:read")
    narrow(live, key, "devboxes:write")
    live.call("POST", f"/v1/restricted_keys/{key['id']}", json={"name": "renamed"})
    assert shown(live, key)["narrowed_from"] is not None
    live.call("POST", f"/v1/restricted_keys/{key['id']}", json={"scopes": []})
    assert shown(live, key)["narrowed_from"] is None
    assert revert(live, key).status_code == 400


def test_narrowing_to_what_it_has_changes_nothing(live: Live) -> None:
    key = live.mint("devboxes:write")
    assert narrow(live, key, "devboxes:write").json()["narrowed_from"] is None
