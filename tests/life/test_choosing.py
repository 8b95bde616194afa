"""Presets, and what there is to think of about a set of scopes."""

from __future__ import annotations

import pytest

from keyscope.model.scope import Scope
from keyscope.policy.document import load
from keyscope.policy.linter import remarks
from keyscope.policy.own import with_own_operations
from tests.cli.run import keyscope
from tests.life.asking import KEYS, done, fault
from tests.live import Live, wire_scopes

POLICY = with_own_operations(load("runloop"))


def codes(*scopes: str) -> list[str]:
    return [remark.code for remark in remarks(POLICY, tuple(map(Scope.parse, scopes)))]


def test_the_combination_that_reads_every_secret_is_named() -> None:
    assert "reads_secrets" in codes("devboxes:write", "account:read")
    assert "reads_secrets" in codes("devboxes:write", "account:write")
    assert "reads_secrets" not in codes("devboxes:write")
    assert "reads_secrets" not in codes("devboxes:read", "account:read")


def test_every_caution_of_the_policy_holds_for_its_own_scopes_and_no_fewer() -> None:
    for caution in POLICY.cautions:
        assert caution.code in codes(*map(str, caution.when))
        for left_out in caution.when:
            rest = [str(scope) for scope in caution.when if scope != left_out]
            assert caution.code not in codes(*rest)


def test_a_scope_that_lacks_another_is_named_with_an_operation() -> None:
    found = remarks(POLICY, (Scope.parse("scenarios:write"),))
    [remark] = [remark for remark in found if remark.code == "prerequisite"]
    assert "devboxes:write" in remark.message
    [row] = [row for row in POLICY.operations if row.id == remark.message.split()[0]]
    assert row.needs == (Scope.parse("scenarios:write"), Scope.parse("devboxes:write"))
    assert "prerequisite" not in codes("scenarios:write", "devboxes:write", "account:read")


def test_scopes_of_no_use_are_named() -> None:
    assert codes() == ["no_scopes"]
    assert codes("objects:none") == ["names_nothing"]
    [remark] = [
        remark for remark in remarks(POLICY, (Scope.parse("repo_connections:write"),)) if remark.code == "useless"
    ]
    assert "repo_connections:read would do" in remark.message


def test_the_server_lints_scopes_and_presets(live: Live) -> None:
    key = live.mint()["key_secret"]
    said = done(
        live.call("POST", "/keyscope/lint", key, json={"scopes": wire_scopes(["devboxes:write", "account:read"])})
    )
    assert {"devboxes:write", "account:read"} <= set(said["remarks"][0]["scopes"])
    by_name = done(live.call("POST", "/keyscope/lint", json={"preset": "read-only"}))
    [preset] = [p for p in done(live.call("GET", "/keyscope/presets"))["presets"] if p["name"] == "read-only"]
    assert by_name["remarks"] == preset["remarks"]
    for wrong in ({}, {"scopes": [], "preset": "ci"}):
        fault(live.call("POST", "/keyscope/lint", json=wrong), 400, "invalid_request")


def test_read_only_reads_every_type_and_writes_none() -> None:
    [preset] = [preset for preset in POLICY.presets if preset.name == "read-only"]
    assert [scope.resource for scope in preset.scopes] == list(POLICY.resource_names)
    assert {scope.level.word for scope in preset.scopes} == {"read"}


@pytest.mark.parametrize("name", ["read-only", "ci", "devbox-agent"])
def test_a_preset_mints_a_key_with_its_scopes(live: Live, name: str) -> None:
    made = done(live.call("POST", KEYS, json={"preset": name}))
    [preset] = [preset for preset in POLICY.presets if preset.name == name]
    assert made["scopes"] == wire_scopes(map(str, preset.scopes))


def test_a_preset_is_known_and_alone_and_within_the_parent(live: Live) -> None:
    assert "read-only, ci, devbox-agent" in fault(live.call("POST", KEYS, json={"preset": "x"}), 400, "invalid_request")
    both = {"preset": "ci", "scopes": wire_scopes(["devboxes:read"])}
    fault(live.call("POST", KEYS, json=both), 400, "invalid_request")
    parent = live.mint("account:write")
    fault(live.call("POST", KEYS, parent["key_secret"], json={"preset": "ci"}), 403, "exceeds_parent")
    fault(live.call("POST", "/v1/apikeys", json={"preset": "ci"}), 400, "invalid_request")


def test_the_command_mints_by_preset_and_warns(live: Live) -> None:
    env = {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first}
    made = keyscope("keys", "create", "--preset", "devbox-agent", "--secret-only", env=env)
    assert made.stdout.startswith("rk_")
    warned = keyscope("keys", "create", "--scope", "devboxes:write", "--scope", "account:read", "--json", env=env)
    assert "reads_secrets: With devboxes:write and account:read together" in warned.stderr
    assert keyscope("keys", "create", "--preset", "ci", "--scope", "objects:read", env=env).returncode == 2
    assert "devbox-agent" in keyscope("presets", env=env).stdout
