"""Several nodes on one PostgreSQL: what is done at one holds at all, and its receipt says so."""

from __future__ import annotations

import os
import subprocess
import sys
from random import Random

from tests.console.visiting import Guest
from tests.live import wire_scopes
from tests.nodes.operations import Operations
from tests.nodes.team import Team, wait
from tests.nodes.traffic import minted, traffic

ALL = ["a", "b", "c"]
OPERATIONS = 100


def test_a_key_is_taken_at_once_where_it_was_minted_and_soon_everywhere(three: Team) -> None:
    for member in three.members:
        secret = member.mint("devboxes:read")["key_secret"]
        assert member.may(secret) == 200
        for other in three.members:
            wait(lambda other=other, secret=secret: other.may(secret) == 200, "it is taken")  # type: ignore[misc]


def test_a_revocation_is_answered_with_the_receipt_of_every_node_and_none_takes_the_key(three: Team) -> None:
    key = three[0].mint("devboxes:read")
    receipt = three.revoke(key["id"], at=1)
    assert (receipt["acknowledged"], receipt["closed"], receipt["pending"]) == (ALL, [], [])
    assert [member.may(key["key_secret"]) for member in three.members] == [401, 401, 401]


def test_a_revocation_that_is_repeated_has_a_receipt_too(three: Team) -> None:
    key = three[0].mint("devboxes:read")
    first = three.revoke(key["id"], at=1)
    again = three.revoke(key["id"], at=2)
    assert again["number"] >= first["number"]
    assert again["acknowledged"] == ALL


def test_so_are_suspensions_narrowings_panics_and_keys_that_end_themselves(three: Team) -> None:
    first, kept = three[0].mint("devboxes:write"), three[0].mint("devboxes:read")
    path = f"/v1/restricted_keys/{first['id']}"
    narrower = {"scopes": wire_scopes(["devboxes:read"])}
    for verb, body in (("/suspend", {}), ("", {"name": "b"}), ("/narrow", narrower)):
        reply = three[1].call("POST", path + verb, json=body)
        assert reply.status_code == 200, reply.text
        assert reply.json()["receipt"]["acknowledged"] == ALL
    panic = three[2].call("POST", "/keyscope/panic", json={"tree": first["id"]})
    assert panic.json()["receipt"]["acknowledged"] == ALL
    wait(lambda: three[2].may(kept["key_secret"]) == 200, "the other one is known")
    ended = three[2].call("POST", "/keyscope/me/revoke", kept["key_secret"])
    assert ended.json()["receipt"]["acknowledged"] == ALL


def test_what_only_gives_has_none_and_runloops_replies_stay_as_they_are(three: Team) -> None:
    key = three[0].mint("devboxes:read")
    assert sorted(key) == ["id", "key_secret", "name", "scopes"]
    shown = three[0].call("GET", f"/v1/restricted_keys/{key['id']}").json()
    assert "receipt" not in shown


def test_readiness_and_metrics_say_how_stale_a_node_is(three: Team) -> None:
    ready = three[1].http.get("/keyscope/readyz").json()
    assert 0 <= ready["stale_ms"] < 1000
    metrics = three[1].http.get("/keyscope/metrics").text
    assert "keyscope_replica_stale_seconds 0." in metrics


def test_under_traffic_nothing_is_accepted_after_a_receipt(three: Team) -> None:
    with traffic(three, minted(three[0], 100)) as running:
        operations = Operations(three, running, Random(7))  # noqa: S311  (no secret)
        operations.run(OPERATIONS)
    assert running.wrongly_accepted() == []
    statuses = {question.status for question in running.asked}
    assert statuses == {200, 401, 403}
    assert len(running.asked) > OPERATIONS


def test_the_command_says_which_nodes_have_it(three: Team) -> None:
    key = three[0].mint("devboxes:read")
    environment = {**os.environ, "KEYSCOPE_URL": three[0].url, "KEYSCOPE_API_KEY": three[0].first}
    command = [sys.executable, "-m", "keyscope", "keys", "revoke", key["id"]]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == f"{key['id']} is revoked.\n"
    assert said.stderr == "Nodes that have it: a, b, c.\n"


def test_the_console_says_so_too(three: Team) -> None:
    key = three[0].mint("devboxes:read")
    guest = Guest(three[0]).sign_in(three[0].first)
    page = guest.act(f"/keys/{key['id']}/revoke", reason="leaked").text
    assert all(f"<li>{name} has it.</li>" in page for name in ALL)
    assert "No node judges by what was before." in page
