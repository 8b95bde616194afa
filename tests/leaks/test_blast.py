"""The blast radius of a key, after real calls through a real gate."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from keyscope.errors import ConfigurationError
from keyscope.model.body import JsonPath
from keyscope.policy.document import load, parse
from keyscope.policy.handed import kind_of
from keyscope.policy.own import own_operations
from tests.cli.run import keyscope
from tests.life.asking import done
from tests.live import Live
from tests.recorder import Recorder

RUNLOOP = load("runloop")


@pytest.fixture(scope="module")
def server(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory(), upstream=upstream.url) as live:
        yield live


def blast(live: Live, key_id: str, kind: str = "restricted_keys") -> dict[str, Any]:
    return done(live.call("GET", f"/v1/{kind}/{key_id}/blast"))


def recorded(live: Live, key_id: str, calls: int) -> dict[str, Any]:
    """The blast radius, once so many calls are written down."""
    end = time.monotonic() + 10
    while True:
        found = blast(live, key_id)
        if sum(row["calls"] + row["calls_below"] for row in found["did"]) + found["denied"]["calls"] == calls:
            return found
        assert time.monotonic() < end, found["did"]
        time.sleep(0.05)


def test_it_says_what_was_done_minted_and_handed_out_and_what_ends_it(server: Live) -> None:
    key = server.mint("devboxes:write", "account:write", name="agent")
    secret = key["key_secret"]
    child = server.mint("devboxes:read", by=secret, name="child")
    dead = server.mint(by=secret, name="dead")
    server.revoke(dead["id"])
    for number in range(3):
        server.call("POST", f"/v1/devboxes/{number}/create_ssh_key", secret, json={})
    server.call("POST", "/v1/devboxes/1/shutdown", secret, json={})
    server.call("GET", "/v1/devboxes/1", child["key_secret"])
    server.call("GET", "/v1/objects", child["key_secret"])
    found = recorded(server, key["id"], 8)
    did = {row["operation"]: row for row in found["did"]}
    assert {name: (row["calls"], row["calls_below"]) for name, row in did.items()} == {
        "createRestrictedKey": (2, 0),
        "createDevboxSshKey": (3, 0),
        "shutdownDevbox": (1, 0),
        "getDevbox": (0, 1),
    }
    assert (did["shutdownDevbox"]["destroys"], did["getDevbox"]["destroys"]) == ("devboxes", None)
    now_ms = time.time_ns() // 1_000_000
    assert all(now_ms - 2 * 3_600_000 < row["first_ms"] <= row["last_ms"] <= now_ms for row in did.values())
    assert (found["denied"]["calls"], found["denied"]["is_all"]) == (1, True)
    minted = found["minted"]
    assert (minted["count"], minted["living"]) == (2, 1)
    assert {(node["id"], node["status"]) for node in minted["keys"]} == {
        (child["id"], "active"),
        (dead["id"], "revoked"),
    }
    handed = {(row["kind"], row["operation"]): row for row in found["handed"]}
    assert handed["ssh key", "createDevboxSshKey"]["times"] == 3
    assert "shutdown" in handed["ssh key", "createDevboxSshKey"]["ends"]
    assert handed["tunnel", "getDevbox"]["members"] == ["$.tunnel.auth_token", "$.tunnel.tunnel_key"]
    assert found["end"]["is_over"] is False


def test_the_command_and_the_call_that_it_names_end_the_key(server: Live) -> None:
    environment = {"KEYSCOPE_URL": server.url, "KEYSCOPE_API_KEY": server.first}
    by_command, by_call = server.mint(), server.mint()
    command = blast(server, by_command["id"])["end"]["command"]
    assert keyscope(*command.split()[1:], env=environment).returncode == 0
    server.call(*blast(server, by_call["id"])["end"]["call"].split())
    for key in (by_command, by_call):
        assert server.call("GET", "/keyscope/me", key["key_secret"]).status_code == 401
        assert blast(server, key["id"])["end"]["is_over"] is True


def test_what_a_key_could_do_is_what_the_gate_lets_it_do_and_destruction_comes_first(server: Live) -> None:
    key = server.mint("devboxes:write", "objects:read")
    could = blast(server, key["id"])["could"]
    order = [(row["destroys"] is None, not row["hands_out"]) for row in could]
    assert order == sorted(order)
    listed = {row["call"] for row in could}
    for row in (*RUNLOOP.operations, *own_operations("account")):
        if row.method == "MCP" or row.transport == "websocket":
            continue
        asked = done(server.call("POST", "/keyscope/verify", json={
            "key": key["key_secret"], "method": row.method, "path": row.template.replace("{", "").replace("}", ""),
        }))  # fmt: skip
        assert asked["allowed"] is (row.call in listed), row


def test_a_standard_key_could_do_everything(server: Live) -> None:
    made = server.mint_standard()
    assert len(blast(server, made["id"], "apikeys")["could"]) == len(RUNLOOP.operations) + sum(
        row.template.startswith(("/keyscope", "/v1/restricted_keys/", "/v1/apikeys/")) or row.method == "GET"
        for row in own_operations("account")
    )


def test_it_takes_read_on_keys_and_knows_only_keys_of_the_account(server: Live) -> None:
    key = server.mint()
    path = f"/v1/restricted_keys/{key['id']}/blast"
    assert server.call("GET", path, server.mint("devboxes:write")["key_secret"]).status_code == 403
    assert server.call("GET", path, server.mint("account:read")["key_secret"]).status_code == 200
    assert server.call("GET", "/v1/restricted_keys/key_none/blast").status_code == 404
    assert server.call("GET", f"/v1/apikeys/{key['id']}/blast").status_code == 404


def test_where_nothing_is_recorded_it_says_so(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--audit", "no"]) as live:
        key = live.mint("devboxes:read")
        found = blast(live, key["id"])
        assert (found["did"], found["denied"], found["handed"]) == (None, None, [])
        assert found["could"]
        environment = {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first}
        assert "not recorded" in keyscope("keys", "blast", key["id"], env=environment).stdout


def test_the_command_prints_the_worst_first_and_all_when_asked(server: Live) -> None:
    environment = {"KEYSCOPE_URL": server.url, "KEYSCOPE_API_KEY": server.first}
    key = server.mint("devboxes:write", name="agent")
    server.call("POST", "/v1/devboxes/1/create_ssh_key", key["key_secret"], json={})
    recorded(server, key["id"], 1)
    short = keyscope("keys", "blast", key["id"], env=environment)
    assert short.returncode == 0
    assert "destroys devboxes" in short.stdout
    assert "ssh key" in short.stdout
    assert f"keyscope keys revoke {key['id']} --reason leaked" in short.stdout
    assert "more: add --all" in short.stderr
    assert "more: add --all" not in keyscope("keys", "blast", key["id"], "--all", env=environment).stderr
    as_json = json.loads(keyscope("keys", "blast", key["id"], "--json", env=environment).stdout)
    assert as_json["handed"][0]["kind"] == "ssh key"


def test_every_credential_of_the_runloop_policy_has_a_kind_that_says_how_it_ends() -> None:
    paths = [path for row in (*RUNLOOP.operations, *own_operations("account")) for path in row.credentials]
    assert len(paths) > 20
    assert [path.text for path in paths if kind_of(RUNLOOP.credential_kinds, path).ends.startswith("The policy")] == []
    operations = {row.call for row in RUNLOOP.operations}
    for kind in RUNLOOP.credential_kinds:
        words = kind.ends.replace(",", " ").split()
        named = {f"POST {path}" for verb, path in pairwise(words) if verb == "POST"}
        assert named <= operations, kind


def test_every_kind_of_the_runloop_policy_covers_some_member() -> None:
    paths = [path for row in RUNLOOP.operations for path in row.credentials]
    for kind in RUNLOOP.credential_kinds:
        for member in kind.members:
            assert any(type(kind)(kind.name, (member,), "").covers(path) for path in paths), member


def test_a_member_that_no_kind_covers_goes_by_its_own_name() -> None:
    kind = kind_of((), JsonPath.parse("$.a.session_token"))
    assert (kind.name, kind.ends) == ("session_token", "The policy does not say how: ask whoever issues it")


@pytest.mark.parametrize(
    "kind", ["{members: [a]}", "{ends: x}", "{members: a, ends: x}", "{members: [a], ends: x, more: 1}"]
)
def test_a_malformed_kind_is_a_fault_of_the_policy(kind: str) -> None:
    text = f"""
policy: p
title: P
resource_types: {{things: Things}}
credential_kinds: {{token: {kind}}}
operations: [{{id: a, call: GET /a, needs: []}}]
"""
    with pytest.raises(ConfigurationError):
        parse(text, "here")
