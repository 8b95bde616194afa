"""From observing to the narrowed key, on a real server with real calls: Runloop's own client, the command, the API."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runloop_api_client import PermissionDeniedError, Runloop

from tests.cli.run import keyscope
from tests.live import Live
from tests.recorder import Recorder
from tests.tightening.acting import observe, observed
from tests.tightening.reading import within


@pytest.fixture(scope="module")
def server(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory(), upstream=upstream.url) as live:
        yield live


@pytest.fixture
def env(server: Live) -> dict[str, str]:
    return {"KEYSCOPE_URL": server.url, "KEYSCOPE_API_KEY": server.first}


def suggestion(live: Live, key: dict[str, Any], calls: int) -> dict[str, Any]:
    """The suggestion once so many calls are written down."""

    def read() -> dict[str, Any] | None:
        found: dict[str, Any] = live.call("GET", f"/v1/restricted_keys/{key['id']}/suggestion").json()
        return found if found["replay"]["calls"] == calls else None

    found = within(read)
    assert found is not None
    return found


def short(entries: list[dict[str, str]]) -> list[str]:
    return [
        f"{entry['resource_type'].removeprefix('RESOURCE_TYPE_')}:{entry['access_level'].removeprefix('ACCESS_LEVEL_')}"
        for entry in entries
    ]


def work(agent: Runloop) -> None:
    """A workload: plain calls, one whose body counts, and one whose path matches two templates."""
    agent.devboxes.list()
    agent.devboxes.create(blueprint_id="bpt_1")
    agent.devboxes.shutdown("dbx_1")
    agent.devboxes.disk_snapshots.list()


def test_observe_suggest_narrow_work_on_and_revert(server: Live, env: dict[str, str]) -> None:
    key = observed(server, "devboxes:read", "objects:write")
    agent = Runloop(base_url=server.url, bearer_token=key["key_secret"], max_retries=0)
    work(agent)
    found = suggestion(server, key, 4)
    assert short(found["scopes"]) == ["BLUEPRINTS:READ", "DEVBOXES:WRITE", "SNAPSHOTS:READ"]
    assert short(found["adds"]) == ["BLUEPRINTS:READ", "DEVBOXES:WRITE", "SNAPSHOTS:READ"]
    assert found["replay"] == {"calls": 4, "kinds": 4, "refused": 0}
    told = keyscope("keys", "suggest", key["id"], env=env)
    assert f"keyscope keys narrow {key['id']} --to-suggestion" in told.stdout
    assert "4 calls of 4 kinds judged again, 0 refused" in told.stderr
    assert "few_calls" in told.stderr
    done = keyscope("keys", "narrow", key["id"], "--to-suggestion", "--json", env=env)
    assert short(json.loads(done.stdout)["scopes"]) == short(found["scopes"])
    observe(server, key, None)
    work(agent)
    with pytest.raises(PermissionDeniedError, match="keyscope keys revert"):
        agent.objects.list()
    within(lambda: "refused because it was narrowed: 1." in keyscope("keys", "show", key["id"], env=env).stderr)
    assert keyscope("keys", "revert", key["id"], env=env).returncode == 0
    agent.objects.list()


def test_a_key_that_has_more_than_it_uses_loses_only_that(server: Live, env: dict[str, str]) -> None:
    key = server.mint("devboxes:write", "objects:write", "account:read")
    for _ in range(3):
        assert server.call("GET", "/v1/devboxes", key["key_secret"]).status_code == 200
    found = suggestion(server, key, 3)
    assert (short(found["scopes"]), found["adds"]) == (["DEVBOXES:READ"], [])
    rows = keyscope("keys", "suggest", key["id"], env=env).stdout.splitlines()
    assert [row.split()[:4] for row in rows[1:4]] == [
        ["account", "read", "none", "0"],
        ["devboxes", "write", "read", "3"],
        ["objects", "write", "none", "0"],
    ]
    narrowed = json.loads(keyscope("keys", "narrow", key["id"], "--to-suggestion", "--json", env=env).stdout)
    assert (short(narrowed["scopes"]), narrowed["expires_at_ms"]) == (["DEVBOXES:READ"], None)
    assert "It has what it uses." in keyscope("keys", "suggest", key["id"], env=env).stdout


def test_without_a_recorded_call_nothing_is_changed(server: Live, env: dict[str, str]) -> None:
    key = server.mint("devboxes:write")
    refused = keyscope("keys", "narrow", key["id"], "--to-suggestion", env=env)
    assert (refused.returncode, "nothing was changed" in refused.stderr) == (1, True)
    assert keyscope("keys", "narrow", key["id"], env=env).returncode == 2


def test_only_who_may_read_keys_of_the_tree_sees_it(server: Live) -> None:
    manager = server.mint("account:write", "devboxes:read")
    child = server.mint("devboxes:read", by=manager["key_secret"])
    stranger = server.mint("account:read")
    path = f"/v1/restricted_keys/{child['id']}/suggestion"
    assert server.call("GET", path, manager["key_secret"]).status_code == 200
    assert server.call("GET", path, child["key_secret"]).status_code == 403
    assert server.call("GET", path, stranger["key_secret"]).json()["code"] == "outside_tree"
    assert server.call("GET", f"{path}?since_ms=x").status_code == 400
    assert server.call("GET", "/v1/restricted_keys/key_unknown/suggestion").status_code == 404


def test_a_server_without_a_trail_says_so(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--audit", "no"]) as live:
        key = live.mint("devboxes:read")
        refused = live.call("GET", f"/v1/restricted_keys/{key['id']}/suggestion")
        assert (refused.status_code, "--audit yes" in refused.text) == (404, True)


def test_may_add_is_bounded_as_an_update_is(server: Live) -> None:
    parent = server.mint("devboxes:read", "account:write")
    child = server.mint(by=parent["key_secret"])
    body = {
        "scopes": [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_WRITE"}],
        "may_add": True,
    }
    refused = server.call("POST", f"/v1/restricted_keys/{child['id']}/narrow", json=body)
    assert (refused.status_code, refused.json()["code"]) == (403, "exceeds_parent")
