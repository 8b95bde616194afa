"""Another API, with its own resource types, behind the same server: GitHub's issues."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.live import Live
from tests.recorder import Recorder


@pytest.fixture(scope="module")
def github(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory(), upstream=upstream.url, options=["--policy", "github-issues"]) as server:
        yield server


def test_its_scopes_are_minted_and_enforced(github: Live, upstream: Recorder) -> None:
    key = github.mint("issues:read")["key_secret"]
    assert github.call("GET", "/repos/octo/hello/issues", key).status_code == 200
    refused = github.call("POST", "/repos/octo/hello/issues", key, json={"title": "x"})
    assert (refused.status_code, refused.json()["missing_scopes"]) == (403, ["issues:write"])
    assert [seen.target for seen in upstream.take()] == ["/repos/octo/hello/issues"]


def test_the_types_of_another_policy_are_unknown_to_it(github: Live) -> None:
    scopes = [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}]
    response = github.call("POST", "/v1/restricted_keys", json={"scopes": scopes})
    assert response.status_code == 400
    assert "RESOURCE_TYPE_ISSUES" in response.json()["message"]


def test_where_a_policy_names_no_type_for_keys_only_standard_keys_manage(github: Live) -> None:
    everything = github.mint("issues:write", "labels:write", "milestones:write")["key_secret"]
    for method, path in (("GET", "/v1/restricted_keys"), ("POST", "/v1/restricted_keys"), ("POST", "/v1/apikeys")):
        assert github.call(method, path, everything).status_code == 403
    assert github.call("GET", "/keyscope/me", everything).status_code == 200
    assert github.call("GET", "/v1/restricted_keys").status_code == 200
