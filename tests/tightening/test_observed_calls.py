"""Every door that lets an observed key through writes the would-be denial down, once a call, with what it lacked."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from runloop_api_client import Runloop

from tests.inprocess.serving import Served, guard_environment
from tests.live import Live
from tests.recorder import Recorder
from tests.tightening.acting import observed
from tests.tightening.reading import entries, within

SHUTDOWN = "/v1/devboxes/dbx_1/shutdown"


@pytest.fixture(scope="module")
def server(upstream: Recorder, new_directory: Callable[[], object]) -> Iterator[Live]:
    with Live(new_directory(), upstream=upstream.url) as live:  # type: ignore[arg-type]
        yield live


def lacked(live: Live, key: dict[str, object], calls: int = 1) -> list[tuple[str | None, str | None, tuple[str, ...]]]:
    """Operation, path and missing scopes of the observed calls, once so many are written down."""

    def read() -> list[tuple[str | None, str | None, tuple[str, ...]]]:
        found = entries(live, key, "call.observed")
        assert len(found) <= calls
        return [(e.operation, e.path, e.missing) for e in found] if len(found) == calls else []

    return within(read)


def test_the_built_in_gate_with_runloops_own_client(server: Live) -> None:
    key = observed(server, "devboxes:read")
    agent = Runloop(base_url=server.url, bearer_token=key["key_secret"], max_retries=0)
    agent.devboxes.list()
    agent.devboxes.create(blueprint_id="bpt_1")
    agent.devboxes.shutdown("dbx_1")
    created, shut = lacked(server, key, 2)
    assert created == ("createDevbox", "/v1/devboxes", ("devboxes:write", "blueprints:read"))
    assert shut == ("shutdownDevbox", SHUTDOWN, ("devboxes:write",))
    [entry, _] = entries(server, key, "call.observed")
    assert (entry.code, entry.reasons, entry.peer) == ("insufficient_scope", ("missing_scope",), "127.0.0.1")
    assert entries(server, key, "call.denied") == []


def test_a_call_that_is_not_forgiven_is_written_down_as_denied(server: Live) -> None:
    key = observed(server, "devboxes:read")
    assert server.call("GET", "/v1/restricted_keys", key["key_secret"]).status_code == 403
    [denied] = within(lambda: entries(server, key, "call.denied"))
    assert denied.operation == "listRestrictedKeys"
    assert entries(server, key, "call.observed") == []


def test_a_proxy_that_asks(server: Live) -> None:
    key = observed(server, "devboxes:read")
    headers = {"x-original-uri": SHUTDOWN, "x-original-method": "POST"}
    assert server.call("GET", "/keyscope/authorize/nginx", key["key_secret"], headers=headers).status_code == 200
    assert lacked(server, key) == [("shutdownDevbox", SHUTDOWN, ("devboxes:write",))]


def test_an_api_server_that_verifies(server: Live) -> None:
    key = observed(server, "devboxes:read")
    asked = {"key": key["key_secret"], "method": "POST", "path": SHUTDOWN}
    assert server.call("POST", "/keyscope/verify", json=asked).json()["allowed"] is True
    assert lacked(server, key) == [("shutdownDevbox", SHUTDOWN, ("devboxes:write",))]


@pytest.mark.parametrize("source", ["embedded", "remote"])
def test_the_middleware_and_the_application_sees_the_scopes_for_this_call(server: Live, source: str) -> None:
    key = observed(server, "devboxes:read")
    environment = guard_environment(server, source)
    with Served("uvicorn", server.directory, "tests.inprocess.guarded:app", environment) as app:
        answers = [app.call("POST", SHUTDOWN, key["key_secret"]) for _ in range(2)]
        plain = app.call("GET", "/v1/devboxes", key["key_secret"])
    assert [answer.json()["caller"]["scopes"] for answer in answers] == [["devboxes:write"]] * 2
    assert plain.json()["caller"]["scopes"] == ["devboxes:read"]
    assert lacked(server, key, 2) == [("shutdownDevbox", SHUTDOWN, ("devboxes:write",))] * 2


def test_without_a_trail_it_goes_into_the_log(upstream: Recorder, new_directory: Callable[[], object]) -> None:
    with Live(new_directory(), upstream=upstream.url, options=["--audit", "no"]) as live:  # type: ignore[arg-type]
        key = observed(live, "devboxes:read")
        assert live.call("POST", SHUTDOWN, key["key_secret"]).status_code == 200
        within(lambda: f"observed: {key['id']} lacks devboxes:write for POST {SHUTDOWN}" in live.log)
