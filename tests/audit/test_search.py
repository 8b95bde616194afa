"""The trail is searched over HTTP and by the command; nobody sees more than they manage."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.run import keyscope
from tests.live import Live
from tests.recorder import Recorder


@pytest.fixture(scope="module")
def keys(live: Live) -> dict[str, Any]:
    """A minting key, a key below it, and a stranger, each with a past."""
    minter = live.mint("account:write", "devboxes:read", name="minter")
    child = live.mint("devboxes:read", by=minter["key_secret"], name="child")
    stranger = live.mint("devboxes:read", name="stranger")
    for key, calls in ((minter, 1), (child, 3), (stranger, 2)):
        for _ in range(calls):
            assert live.call("GET", "/v1/devboxes", key["key_secret"]).status_code == 200
        assert live.call("POST", "/v1/devboxes", key["key_secret"]).status_code == 403
    _until(lambda: len(search(live, verdict="denied")) >= 3)
    return {"minter": minter, "child": child, "stranger": stranger}


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


def search(live: Live, by: str | None = None, **params: object) -> list[dict[str, Any]]:
    response = live.call("GET", "/keyscope/audit", by, params=params)
    assert response.status_code == 200, response.text
    entries: list[dict[str, Any]] = response.json()["entries"]
    return entries


def counts(live: Live, by: str | None = None, **params: object) -> list[dict[str, Any]]:
    response = live.call("GET", "/keyscope/usage", by, params=params)
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["counts"]
    return found


def test_a_search_by_key_finds_what_it_did_and_what_was_done_to_it(live: Live, keys: dict[str, Any]) -> None:
    kinds = [entry["kind"] for entry in search(live, key_id=keys["child"]["id"])]
    assert sorted(kinds) == ["call.denied", "key.minted"]
    [denied] = search(live, key_id=keys["child"]["id"], verdict="denied")
    assert denied["missing_scopes"] == ["devboxes:write"]
    assert denied["chain"][:2] == [keys["child"]["id"], keys["minter"]["id"]]
    assert "call.denied" in [entry["kind"] for entry in search(live, key_id=keys["minter"]["id"])]


def test_a_search_by_operation_code_and_time_holds_all_conditions(live: Live, keys: dict[str, Any]) -> None:
    found = search(live, operation="createDevbox", code="insufficient_scope")
    assert {entry["key_id"] for entry in found} == {key["id"] for key in keys.values()}
    assert search(live, operation="createDevbox", verdict="changed") == []
    newest = found[0]["at_ms"]
    assert found[0] in search(live, since_ms=newest, operation="createDevbox")
    assert search(live, since_ms=newest + 60_000) == []
    assert search(live, until_ms=newest, number=1)[0]["at_ms"] < newest


def test_pages_follow_each_other_without_gap_or_repetition(live: Live, keys: dict[str, Any]) -> None:
    whole = search(live, limit=5000)
    pages: list[dict[str, Any]] = []
    last = whole[0]["number"] + 1
    while page := search(live, limit=2, starting_after=last):
        pages += page
        last = page[-1]["number"]
    assert pages == whole


def test_a_restricted_key_sees_itself_and_what_it_minted(live: Live, keys: dict[str, Any]) -> None:
    by = keys["minter"]["key_secret"]
    seen = {entry["key_id"] for entry in search(live, by, limit=5000)}
    assert seen == {keys["minter"]["id"], keys["child"]["id"]}
    assert search(live, by, key_id=keys["stranger"]["id"]) == []
    assert {count["key_id"] for count in counts(live, by)} == seen
    assert counts(live, by, key_id=keys["stranger"]["id"]) == []


def test_a_key_without_read_on_keys_sees_nothing(live: Live, keys: dict[str, Any]) -> None:
    for path in ("/keyscope/audit", "/keyscope/usage"):
        assert live.call("GET", path, keys["child"]["key_secret"]).status_code == 403


def test_usage_counts_each_call_once(live: Live, keys: dict[str, Any]) -> None:
    [count] = counts(live, key_id=keys["child"]["id"])
    assert (count["operation"], count["calls"], count["needs"]) == ("listDevboxes", 3, ["devboxes:read"])
    assert sum(c["calls"] for c in counts(live, key_id=keys["child"]["id"], step="minute")) == 3
    assert counts(live, key_id=keys["child"]["id"], until_ms=1000) == []
    assert live.call("GET", "/keyscope/usage", params={"limit": 1}).json()["has_more"]


@pytest.mark.parametrize(
    ("path", "params", "named"),
    [
        ("audit", {"verdict": "allowed"}, "query.verdict"),
        ("audit", {"limit": "0"}, "query.limit"),
        ("audit", {"since_ms": "soon"}, "query.since_ms"),
        ("usage", {"step": "year"}, "query.step"),
        ("usage", {"limit": "-1"}, "query.limit"),
    ],
)
def test_a_wrong_question_is_told_what_is_wrong(live: Live, path: str, params: dict[str, str], named: str) -> None:
    response = live.call("GET", f"/keyscope/{path}", params=params)
    assert response.status_code == 400
    assert [fault["path"] for fault in response.json()["faults"]] == [named]


def test_the_command_searches_shows_and_counts(live: Live, keys: dict[str, Any]) -> None:
    told = {"KEYSCOPE_URL": live.url, "KEYSCOPE_API_KEY": live.first}
    child = keys["child"]["id"]
    listed = keyscope("audit", "list", "--key-id", child, "--verdict", "denied", env=told)
    assert "insufficient_scope missing_scope devboxes:write" in listed.stdout
    words = ("--key-id", child, "--operation", "createDevbox", "--since", "1h", "--json")
    [entry] = json.loads(keyscope("audit", "list", *words, env=told).stdout)["entries"]
    shown = keyscope("audit", "show", str(entry["number"]), env=told)
    assert "createDevbox" in shown.stdout
    assert keyscope("audit", "show", "999999", env=told).returncode == 1
    counted = keyscope("keys", "usage", child, env=told)
    assert counted.stdout.split()[-3:] == ["listDevboxes", "devboxes:read", "3"]


@pytest.fixture
def without(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory(), upstream=upstream.url, options=["--audit", "no"]) as server:
        yield server


def test_a_server_without_a_trail_says_so(without: Live) -> None:
    response = without.call("GET", "/keyscope/audit")
    assert response.status_code == 404
    assert "--audit yes" in response.json()["message"]
    assert not without.database.with_name("keyscope.db.audit").exists()
