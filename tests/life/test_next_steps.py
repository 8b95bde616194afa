"""``next`` is true: whoever follows it, step by step, through the real command, then makes the call."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from keyscope.derive import attenuate
from tests.cli.run import keyscope
from tests.life.asking import done
from tests.live import Live


def follow(live: Live, steps: list[str]) -> None:
    """Run every command that the steps name, with the standard key."""
    env = {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first}
    for step in steps:
        words = shlex.split(step[step.index("keyscope ") :])
        assert keyscope(*words[1:], env=env).returncode == 0, step


def refused(live: Live, key: str, method: str = "POST", path: str = "/v1/devboxes") -> dict[str, Any]:
    response = live.call(method, path, key, json={})
    assert response.status_code == 403, response.text
    problem: dict[str, Any] = response.json()
    return problem


def test_a_key_that_lacks_a_scope_is_widened_and_keeps_the_others(live: Live) -> None:
    made = live.mint("devboxes:read", "objects:read")
    follow(live, refused(live, made["key_secret"])["next"])
    assert live.call("POST", "/v1/devboxes", made["key_secret"], json={}).status_code == 200
    assert live.call("GET", "/v1/objects", made["key_secret"]).status_code == 200


def test_a_line_that_lacks_it_is_widened_from_the_top(live: Live) -> None:
    top = live.mint("devboxes:read", "account:write")
    middle = live.mint("account:write", "devboxes:read", by=top["key_secret"])
    bottom = live.mint("devboxes:read", by=middle["key_secret"])
    steps = refused(live, bottom["key_secret"])["next"]
    assert len(steps) == 3
    follow(live, steps)
    assert live.call("POST", "/v1/devboxes", bottom["key_secret"], json={}).status_code == 200


def test_only_those_that_lack_it_are_widened(live: Live) -> None:
    top = live.mint("devboxes:write", "account:write")
    bottom = live.mint("devboxes:read", by=top["key_secret"])
    steps = refused(live, bottom["key_secret"])["next"]
    assert len(steps) == 1
    follow(live, steps)
    assert live.call("POST", "/v1/devboxes", bottom["key_secret"], json={}).status_code == 200


def test_a_parent_that_was_narrowed_later_is_what_is_widened(live: Live) -> None:
    top = live.mint("devboxes:write", "account:write")
    bottom = live.mint("devboxes:write", by=top["key_secret"])
    done(live.call("POST", f"/v1/restricted_keys/{top['id']}", json={"scopes": []}))
    steps = refused(live, bottom["key_secret"])["next"]
    assert top["id"] in steps[0]
    assert len(steps) == 1
    follow(live, steps)
    assert live.call("POST", "/v1/devboxes", bottom["key_secret"], json={}).status_code == 200


@pytest.mark.parametrize("root", ["devboxes:write", "devboxes:read"])
def test_a_derived_key_is_derived_anew(live: Live, root: str) -> None:
    made = live.mint(root, "objects:read")
    key = attenuate(made["key_secret"], scopes=["devboxes:read", "objects:read"])
    *steps, last = refused(live, key)["next"]
    follow(live, steps)
    words = shlex.split(last[last.index("keyscope ") :])
    derived = keyscope(*words[1:], KEYSCOPE_API_KEY=made["key_secret"])
    new = derived.stdout.strip()
    assert new.startswith("dk_")
    assert live.call("POST", "/v1/devboxes", new, json={}).status_code == 200
    assert live.call("GET", "/v1/objects", new).status_code == 200
    assert live.call("GET", "/v1/blueprints", new).status_code == 403


def test_a_body_that_calls_for_more_is_granted_too(live: Live) -> None:
    made = live.mint("devboxes:write")
    body = {"blueprint_id": "bp_1"}
    response = live.call("POST", "/v1/devboxes", made["key_secret"], json=body)
    assert response.json()["missing_scopes"] == ["blueprints:read"]
    follow(live, response.json()["next"])
    assert live.call("POST", "/v1/devboxes", made["key_secret"], json=body).status_code == 200


def test_can_gives_the_same_steps_as_the_refusal(live: Live) -> None:
    made = live.mint("devboxes:read")
    can = done(live.call("GET", "/keyscope/can?method=POST&path=/v1/devboxes", made["key_secret"]))
    problem = refused(live, made["key_secret"])
    assert (can["operation"], can["missing_scopes"], can["next"]) == (
        problem["operation"],
        problem["missing_scopes"],
        problem["next"],
    )
    assert "standard key" in can["next"][0]


def test_what_is_not_in_the_policy_takes_a_standard_key(live: Live) -> None:
    made = live.mint("devboxes:write")
    problem = refused(live, made["key_secret"], "GET", "/v1/nowhere")
    assert problem["code"] == "not_in_policy"
    assert "standard key (ak_)" in problem["next"][0]
    assert live.call("GET", "/v1/nowhere", live.first).status_code == 200


def test_me_is_small_enough_for_a_prompt(live: Live) -> None:
    made = done(live.call("POST", "/v1/restricted_keys", json={"preset": "read-only", "name": "an agent's key"}))
    answer = live.call("GET", "/keyscope/me", made["key_secret"])
    assert len(answer.json()["scopes"]) == 9
    assert len(answer.content) <= 512
