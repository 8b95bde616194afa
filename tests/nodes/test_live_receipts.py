"""A receipt before it is whole: who has it at once, who follows, at every node, in the command, when it is repeated."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from keyscope.derive import attenuate
from tests.live import wire_scopes
from tests.nodes.silence import paused, slow_gate
from tests.nodes.team import Member, Team, wait
from tests.nodes.terminal import Typed

ALL = ["a", "b", "c"]
AT_ONCE = {"prefer": "wait=0"}
LEASE_S = 4.0
IN_TIME = 3
"""Tries to interrupt something that lasts two seconds."""


@pytest.fixture
def without_c(patient: Team) -> Iterator[Team]:
    """The third node is paused."""
    with paused(patient[2]):
        yield patient


def key_path(key: dict[str, Any]) -> str:
    return f"/v1/restricted_keys/{key['id']}"


def ask(member: Member, receipt: dict[str, Any], **headers: str) -> httpx.Response:
    return member.call("GET", f"/keyscope/receipts/{receipt['epoch']}/{receipt['number']}", headers=headers)


def test_a_reply_at_once_names_who_is_pending_and_any_node_says_how_it_goes_on(without_c: Team) -> None:
    key = without_c[0].mint("devboxes:read")
    first = without_c[0].call("POST", key_path(key) + "/revoke", headers=AT_ONCE).json()["receipt"]
    pending = [node["node"] for node in first["pending"]]
    assert "c" in pending
    assert first["closed"] == []
    closes_by_ms = next(node["closes_by_ms"] for node in first["pending"] if node["node"] == "c")
    assert 0 < closes_by_ms - time.time() * 1000 < LEASE_S * 1010 + 50
    known = ask(without_c[1], first)
    whole = ask(without_c[1], first, prefer="wait=9").json()
    assert (whole["acknowledged"], whole["closed"], whole["pending"]) == (["a", "b"], ["c"], [])
    assert ask(without_c[1], first, **{"if-none-match": known.headers["etag"], "prefer": "wait=9"}).json() == whole
    without_c[2].go_on()
    without_c[2].wait_ready()
    for member in without_c.members:
        wait(lambda member=member: ask(member, first).json()["acknowledged"] == ALL, "c has it")  # type: ignore[misc]


def test_who_knows_a_receipt_is_answered_when_there_is_another_one_and_told_if_none_comes(without_c: Team) -> None:
    key = without_c[0].mint("devboxes:read")
    receipt = without_c[0].call("POST", key_path(key) + "/suspend", headers=AT_ONCE).json()["receipt"]
    known = ""
    while len((said := ask(without_c[0], receipt, **{"if-none-match": known, "prefer": "wait=2"})).content) > 0:
        assert said.headers["etag"] != known
        known = said.headers["etag"]
        if said.json()["acknowledged"] == ["a", "b"]:
            break
    began = time.monotonic()
    still = ask(without_c[0], receipt, **{"if-none-match": known, "prefer": "wait=1"})
    assert (still.status_code, still.content) == (304, b"")
    assert time.monotonic() - began >= 1.0
    closed = ask(without_c[0], receipt, **{"if-none-match": known, "prefer": "wait=9"}).json()
    assert closed["closed"] == ["c"]


def test_without_a_preference_it_is_waited_for_and_so_it_is_of_ones_own_key(without_c: Team) -> None:
    began = time.monotonic()
    own = without_c[0].mint_standard()
    revoke = f"/v1/apikeys/{own['id']}/revoke"
    reply = without_c[0].call("POST", revoke, own["key_secret"], headers=AT_ONCE).json()
    assert reply["receipt"]["closed"] == ["c"]
    key = without_c[0].mint("devboxes:read")
    assert without_c.revoke(key["id"])["pending"] == []
    assert time.monotonic() - began > 1.0


def test_what_was_never_committed_has_no_receipt(patient: Team) -> None:
    receipt = patient.revoke(patient[0].mint("devboxes:read")["id"])
    others = [
        {**receipt, "number": receipt["number"] + 1_000_000},
        {**receipt, "number": 0},
        {**receipt, "number": "1e3"},
        {**receipt, "number": "9" * 40},
        {**receipt, "epoch": receipt["epoch"][:-1] + "7"},
    ]
    for other in others:
        said = ask(patient[1], other)
        assert (said.status_code, said.json()["code"]) == (404, "unknown_receipt")
    assert patient[1].call("GET", f"/keyscope/receipts/{receipt['epoch']}/1", "").status_code == 401


def test_the_command_shows_each_node_as_it_acknowledges_or_closes(patient: Team) -> None:
    key = patient[0].mint("devboxes:read")
    with Typed(patient[0], "panic", "--tree", key["id"]) as typed:
        typed.wait_for("1 keys would be revoked.")  # it is running, and asks whether to go on
        with paused(patient[2]):
            typed.say("y")
            at = {line.removeprefix("Revoke them? [y/N]: "): time.monotonic() for line in typed.lines()}
            typed.result()
    said = [line for line in at if "revoked" not in line]
    waits = next(line for line in said if line.startswith("c has not said so. It judges nothing without it after 20"))
    closed = "c was not heard, and judges nothing until it has it."
    at_last = ["Nodes that have it: a, b.", "Not heard, and judging nothing until they have it: c."]
    assert said[-3:] == [closed, *at_last]
    assert all(at[closed] - at[line] > 1.0 for line in ("a has it.", "b has it.", waits))


def test_for_programs_it_stays_one_object_with_the_whole_receipt(patient: Team) -> None:
    key = patient[0].mint("devboxes:read")
    with (
        slow_gate(patient[2]),
        Typed(patient[0], "keys", "suspend", key["id"], "--json") as typed,
    ):
        assert "c has it." in list(typed.lines())
        receipt = json.loads(typed.result())["receipt"]
    assert (receipt["acknowledged"], receipt["closed"], receipt["pending"]) == (ALL, [], [])


def test_an_interruption_ends_the_following_and_loses_no_new_secret(patient: Team) -> None:
    key = patient[0].mint("devboxes:read")
    said: list[str] = []
    for _ in range(IN_TIME):
        with slow_gate(patient[2]), Typed(patient[0], "keys", "rotate", key["id"], "--secret-only") as typed:
            typed.wait_for("c has not said so")
            typed.process.send_signal(signal.SIGINT)
            said = list(typed.lines())
            secret = typed.result().strip()
        if "c has it." not in said:  # the signal came before the slow gate was given up
            break
    assert "The change is made. It is not followed any further." in said
    assert patient[1].may(secret) == 200
    assert patient[1].may(key["key_secret"]) == 401


def test_whatever_takes_something_away_has_a_receipt(three: Team) -> None:
    first, other = three[0].mint("devboxes:write"), three[0].mint("devboxes:write")
    leaked = three[0].mint("devboxes:read")
    until_ms = int(time.time() * 1000) + 3_600_000
    posts: list[tuple[str, Any]] = [
        (key_path(first) + "/observe", {"until_ms": until_ms}),
        (key_path(first) + "/observe", {"until_ms": None}),
        (key_path(first) + "/narrow", {"scopes": wire_scopes(["devboxes:read"])}),
        (key_path(first) + "/revert", {}),
        (key_path(first), {"name": "renamed"}),
        (key_path(first) + "/suspend", {}),
        (key_path(first) + "/revoke", {}),
        (key_path(other) + "/rotate", {}),
        (key_path(other) + "/derived/drv_0000000000000000000000/revoke", {}),
        ("/keyscope/leaks", {"leaks": [{"key": leaked["key_secret"]}]}),
        ("/keyscope/panic", {"tree": other["id"]}),
    ]
    for path, body in posts:
        reply = three[1].call("POST", path, json=body)
        assert reply.status_code == 200, reply.text
        assert reply.json()["receipt"]["acknowledged"] == ALL, path


def test_what_takes_nothing_from_a_key_waits_for_no_other_node(without_c: Team) -> None:
    key = without_c[0].mint("devboxes:read", run={"lease_ms": 60_000})
    began = time.monotonic()
    assert without_c[0].call("POST", "/keyscope/rules", json={"max_lifetime_ms": 3_600_000_000}).status_code == 200
    assert without_c[0].call("POST", "/keyscope/rules", json={}).status_code == 200
    assert without_c[0].call("POST", "/keyscope/me/renew", key["key_secret"], json={}).status_code == 200
    assert time.monotonic() - began < LEASE_S / 2


def test_what_failed_half_way_is_waited_for_when_it_is_repeated(three: Team) -> None:
    """Committed, and nobody could say who has it: 503. Sent again it writes nothing, and its answer must be true."""
    a, b, c = three.members
    operations = _taking(three)
    for _, keys in operations:
        wait(lambda keys=keys: all(c.may(key) == 200 for key in keys), "they are known")  # type: ignore[misc]
    c.pause()
    paused = time.monotonic()
    a.follower().kill()
    try:
        failed = _all_at_once(a, operations)
        assert [status for status, _ in failed] == [503] * len(operations)
        again = _all_at_once(b, operations)
        assert [status for status, _ in again] == [200] * len(operations)
        # The lease of c began with a beat a quarter of a second before the pause at most, and lasts a second.
        assert [at - paused > 0.7 for _, at in again] == [True] * len(operations)
    finally:
        c.go_on()
    for _, keys in operations:
        assert all(member.may(key) in (401, 403, 503) for member in (b, c) for key in keys)
    a.wait_ready()


Operation = tuple[Callable[[Member], httpx.Response], list[str]]


def _taking(three: Team) -> list[Operation]:
    """What takes something away, each with the secrets that are good no more."""
    keys = [three[0].mint("devboxes:read") for _ in range(5)]
    secrets = [str(key["key_secret"]) for key in keys]
    derived = attenuate(secrets[4], label="x")
    same = {"x-request-id": "the-same-rotation"}
    sends: list[Callable[[Member], httpx.Response]] = [
        lambda at: at.call("POST", "/keyscope/oauth/revoke", data={"token": secrets[0]}),
        lambda at: at.call("POST", key_path(keys[1]) + "/rotate", headers=same),
        lambda at: at.call("POST", "/keyscope/leaks", json={"leaks": [{"key": secrets[2]}]}),
        lambda at: at.call("POST", key_path(keys[3]) + "/revoke"),
        lambda at: at.call("POST", "/keyscope/oauth/revoke", data={"token": derived}),
    ]
    return [(send, [secret]) for send, secret in zip(sends, [*secrets[:4], derived], strict=True)]


def _all_at_once(member: Member, operations: list[Operation]) -> list[tuple[int, float]]:
    """The status of each, and when it came."""

    def send(operation: Operation) -> tuple[int, float]:
        return operation[0](member).status_code, time.monotonic()

    with ThreadPoolExecutor(len(operations)) as threads:
        return [*threads.map(send, operations)]
