"""AuthZEN's searches: what a key may do, and where. Everything found is a yes when it is asked about."""

from __future__ import annotations

from typing import Any

import pytest

from keyscope.api.authzen import SEARCH_ACTION, SEARCH_RESOURCE
from tests.attacks.fixtures import World
from tests.live import Live
from tests.standards.asking import allowed, asked, evaluate


def search(live: Live, path: str, body: Any) -> list[dict[str, str]]:
    answer = evaluate(live, body, path=path)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert said["page"] == {"next_token": ""}
    found: list[dict[str, str]] = said["results"]
    return found


def actions(live: Live, key_id: str, name: str, kind: str = "route") -> list[str]:
    body = {"subject": {"type": "key", "id": key_id}, "resource": {"type": kind, "id": name}}
    return [found["name"] for found in search(live, SEARCH_ACTION, body)]


def resources(live: Live, key_id: str, action: str, kind: str = "route") -> list[str]:
    body = {"subject": {"type": "key", "id": key_id}, "action": {"name": action}, "resource": {"type": kind}}
    found = search(live, SEARCH_RESOURCE, body)
    assert all(one["type"] == kind for one in found)
    return [one["id"] for one in found]


def test_the_methods_of_a_route(live: Live) -> None:
    reader, writer = live.mint("devboxes:read")["id"], live.mint("devboxes:write")["id"]
    assert actions(live, reader, "/v1/devboxes/{id}") == ["GET", "HEAD"]
    assert actions(live, writer, "/v1/devboxes/dbx_1") == ["GET", "HEAD", "POST"]
    assert actions(live, reader, "/v1/unlisted") == []


def test_the_operations_of_a_key(live: Live) -> None:
    reader = live.mint("devboxes:read")["id"]
    found = actions(live, reader, "dbx_1", "devbox")
    assert {"getDevbox", "listDevboxes"} <= set(found)
    assert "shutdownDevbox" not in found
    assert actions(live, reader, "getDevbox", "operation") == ["getDevbox"]


@pytest.mark.parametrize("action", ["GET", "HEAD", "POST", "getDevbox", "listDevboxes"])
@pytest.mark.parametrize("kind", ["route", "operation"])
def test_what_is_found_is_exactly_what_evaluation_allows(live: Live, action: str, kind: str) -> None:
    key_id = live.mint("devboxes:read", "objects:write")["id"]
    rows = live.call("GET", "/keyscope/operations").json()["operations"]
    names = dict.fromkeys(row["path"] if kind == "route" else row["id"] for row in rows)
    expected = [name for name in names if allowed(live, asked(key_id, action, name, kind))]
    assert resources(live, key_id, action, kind) == expected


def test_a_key_that_may_do_everything_finds_what_the_policy_lists(live: Live) -> None:
    key_id = live.call("GET", "/keyscope/me").json()["id"]
    rows = live.call("GET", "/keyscope/operations").json()["operations"]
    assert resources(live, key_id, "DELETE") == [row["path"] for row in rows if row["method"] == "DELETE"]
    assert resources(live, key_id, "GET", "operation") == [row["id"] for row in rows if row["method"] == "GET"]


def test_a_dead_or_foreign_key_finds_nothing(live: Live, world: World) -> None:
    revoked = live.mint("devboxes:read")["id"]
    live.revoke(revoked)
    for key_id in (revoked, world.other.id, "key_0"):
        assert actions(live, key_id, "/v1/devboxes") == []
        assert resources(live, key_id, "GET") == []


def test_the_id_of_what_is_searched_for_is_ignored(live: Live) -> None:
    key_id = live.mint("devboxes:read")["id"]
    body = asked(key_id, "GET", "/v1/nothing")
    assert [found["id"] for found in search(live, SEARCH_RESOURCE, body)] == resources(live, key_id, "GET")
    assert len(search(live, SEARCH_ACTION, asked(key_id, "PUT", "/v1/devboxes"))) == 2


def test_no_other_type_of_resource_can_be_listed(live: Live) -> None:
    assert resources(live, live.mint("devboxes:read")["id"], "getDevbox", "devbox") == []


def test_results_come_in_pages_if_asked(live: Live) -> None:
    key_id = live.mint("devboxes:read")["id"]
    body: dict[str, Any] = {**asked(key_id, "GET", "/"), "page": {"limit": 7}}
    found: list[str] = []
    for _ in range(100):
        said = evaluate(live, body, path=SEARCH_RESOURCE).json()
        assert len(said["results"]) <= 7
        found += [one["id"] for one in said["results"]]
        body["page"]["token"] = said["page"]["next_token"]
        if not said["page"]["next_token"]:
            break
    assert found == resources(live, key_id, "GET")


@pytest.mark.parametrize("page", [3, {"token": 1}, {"token": "x"}, {"limit": 0}, {"limit": True}, {"limit": "1"}])
def test_a_page_that_is_none_is_400(live: Live, page: Any) -> None:
    body = {**asked(live.mint()["id"], "GET", "/v1/devboxes"), "page": page}
    assert evaluate(live, body, path=SEARCH_RESOURCE).status_code == 400


@pytest.mark.parametrize(
    ("path", "missing"),
    [(SEARCH_ACTION, "subject"), (SEARCH_ACTION, "resource"), (SEARCH_RESOURCE, "subject"),
     (SEARCH_RESOURCE, "action"), (SEARCH_RESOURCE, "resource")],
)  # fmt: skip
def test_a_search_needs_its_members(live: Live, path: str, missing: str) -> None:
    body = asked("key_1", "GET", "/v1/devboxes")
    del body[missing]
    answer = evaluate(live, body, path=path)
    assert answer.status_code == 400
    assert f"$.{missing}" in answer.json()
