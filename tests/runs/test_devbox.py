"""A key that is bound to a devbox dies when the gate sees that the devbox has ended, and only then."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from runloop_api_client import Runloop

from tests.life.asking import status, view
from tests.live import Live
from tests.recorder import Recorder, Reply, Seen
from tests.runs.test_lease import until

DEVBOX = "/v1/devboxes/dbx_1"
WAIT = f"{DEVBOX}/wait_for_status"


@pytest.fixture(autouse=True)
def plain_upstream(upstream: Recorder) -> Iterator[None]:
    yield
    upstream.respond = lambda _: Reply()


def bound(live: Live, devbox_id: str = "dbx_1", **body: Any) -> dict[str, Any]:
    return live.mint("devboxes:write", run={"devbox_id": devbox_id, **body})


def saying(upstream: Recorder, status: str, **more: Any) -> None:
    """Every reply of the upstream is a devbox with this status."""
    body = json.dumps({"id": "dbx_1", "status": status, **more}).encode()
    upstream.respond = lambda _: Reply(body=body)


def test_a_shutdown_through_the_gate_ends_the_keys_of_that_devbox_before_it_answers(live: Live) -> None:
    mine, other, by_hand = bound(live), bound(live, "dbx_2"), live.mint("devboxes:write")
    child = live.mint("devboxes:write", run={"devbox_id": "dbx_1"})
    assert live.call("POST", f"{DEVBOX}/shutdown", by_hand["key_secret"]).status_code == 200
    assert [status(live, key["key_secret"]) for key in (mine, child, other, by_hand)] == [401, 401, 200, 200]
    ended = view(live, mine["id"])
    assert (ended["status"], ended["revoked_reason"]) == ("revoked", "devbox dbx_1 was shut down")


def test_a_shutdown_that_failed_ends_nothing(live: Live, upstream: Recorder) -> None:
    mine = bound(live)
    upstream.respond = lambda _: Reply(500)
    assert live.call("POST", f"{DEVBOX}/shutdown", mine["key_secret"]).status_code == 500
    assert status(live, mine["key_secret"]) == 200


@pytest.mark.parametrize("word", ["shutdown", "failure"])
@pytest.mark.parametrize(("method", "path"), [("GET", DEVBOX), ("POST", WAIT)])
def test_a_reply_that_says_the_devbox_has_ended_ends_its_keys(
    live: Live, upstream: Recorder, method: str, path: str, word: str
) -> None:
    mine = bound(live)
    saying(upstream, word)
    answer = live.call(method, path, mine["key_secret"])
    assert (answer.status_code, answer.json()["status"]) == (200, word)
    assert status(live, mine["key_secret"]) == 401
    assert view(live, mine["id"])["revoked_reason"] == "devbox dbx_1 has ended"


@pytest.mark.parametrize("word", ["running", "suspended", "provisioning", "SHUTDOWN", ""])
def test_a_devbox_that_goes_on_keeps_its_keys(live: Live, upstream: Recorder, word: str) -> None:
    mine = bound(live)
    saying(upstream, word)
    assert live.call("GET", DEVBOX, mine["key_secret"]).json()["status"] == word
    assert status(live, mine["key_secret"]) == 200


def test_what_a_reply_says_of_other_devboxes_and_of_executions_ends_nothing(live: Live, upstream: Recorder) -> None:
    mine = bound(live)
    saying(upstream, "shutdown")
    for path in ("/v1/devboxes/dbx_2", f"{DEVBOX}/usage", f"{DEVBOX}/executions/exe_1", "/v1/devboxes"):
        assert live.call("GET", path, mine["key_secret"]).status_code == 200
    assert status(live, mine["key_secret"]) == 200


def test_an_answer_in_a_content_coding_is_asked_for_without_one(live: Live, upstream: Recorder) -> None:
    mine = bound(live)

    def coded(seen: Seen) -> Reply:
        plain = b'{"status": "shutdown"}'
        if seen.header("accept-encoding") is None:
            return Reply(body=plain)
        return Reply(body=gzip.compress(plain), headers=[("content-encoding", "gzip")])

    upstream.respond = coded
    answer = live.call("GET", DEVBOX, mine["key_secret"], headers={"accept-encoding": "gzip"})
    assert (answer.json()["status"], status(live, mine["key_secret"])) == ("shutdown", 401)


def test_a_long_reply_passes_whole_and_unseen(live: Live, upstream: Recorder) -> None:
    mine = bound(live)
    saying(upstream, "shutdown", name="x" * 400_000)
    assert len(live.call("GET", DEVBOX, mine["key_secret"]).json()["name"]) == 400_000
    assert status(live, mine["key_secret"]) == 200


@pytest.mark.parametrize(
    "body", [b"", b"no json", b'{"status": "shutdown"', b'{"status":"x","status":"shutdown"}', b"[1]"]
)
def test_a_reply_that_cannot_be_read_for_certain_passes_and_ends_nothing(
    live: Live, upstream: Recorder, body: bytes
) -> None:
    mine = bound(live)
    upstream.respond = lambda _: Reply(body=body)
    assert live.call("GET", DEVBOX, mine["key_secret"]).content == body
    assert status(live, mine["key_secret"]) == 200


def test_who_shuts_down_and_does_not_wait_for_the_answer_ends_the_keys_all_the_same(
    live: Live, upstream: Recorder
) -> None:
    mine = bound(live)
    upstream.take()
    with socket.create_connection(("127.0.0.1", live.port)) as caller:
        head = f"POST {DEVBOX}/shutdown HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {mine['key_secret']}\r\n"
        caller.sendall(f"{head}content-length: 0\r\n\r\n".encode())
        until(lambda: upstream.seen)
    until(lambda: status(live, mine["key_secret"]) == 401)


def test_every_worker_knows_at_once(upstream: Recorder, new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), upstream=upstream.url, options=["--workers", "2"]) as live:
        mine = bound(live)
        live.call("POST", f"{DEVBOX}/shutdown")
        for _ in range(20):
            live.http.close()
            live.http = type(live.http)(base_url=live.url, timeout=30, trust_env=False)
            assert status(live, mine["key_secret"]) == 401


def test_with_runloops_own_client_a_run_ends_with_its_devbox(live: Live, upstream: Recorder) -> None:
    owner = Runloop(base_url=live.url, bearer_token=live.first)
    key = owner.restricted_keys.create(
        scopes=[{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_WRITE"}],
        extra_body={"run": {"devbox_id": "dbx_1"}},
    )
    agent = Runloop(base_url=live.url, bearer_token=key.key_secret or "")
    saying(upstream, "shutdown")
    assert agent.devboxes.shutdown("dbx_1").status == "shutdown"
    assert status(live, key.key_secret or "") == 401


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("", "duration_seconds=3599"),
        ("?duration_seconds=99999", "duration_seconds=3599"),
        ("?duration_seconds=60&x=1", "x=1&duration_seconds=60"),
        ("?duration%5Fseconds=99999", "duration_seconds=3599"),
        ("?duration_seconds=1&duration_seconds=99999", "duration_seconds=3599"),
        ("?duration_seconds=9e9", "duration_seconds=3599"),
    ],
)
def test_what_a_bound_key_is_handed_is_good_no_longer_than_its_lease(
    live: Live, upstream: Recorder, query: str, sent: str
) -> None:
    key = live.mint("objects:read", run={"lease_ms": 3_600_000})
    upstream.take()
    assert live.call("GET", f"/v1/objects/obj_1/download{query}", key["key_secret"]).status_code == 200
    target = upstream.take()[0].target.partition("?")[2]
    asked = dict(part.split("=") for part in target.split("&"))
    assert list(asked) == [part.split("=")[0] for part in sent.split("&")]
    expected = dict(part.split("=") for part in sent.split("&"))["duration_seconds"]
    assert int(expected) - 30 <= int(asked["duration_seconds"]) <= int(expected) + 1


def test_other_keys_send_what_they_like(live: Live, upstream: Recorder) -> None:
    key = live.mint("objects:read")
    upstream.take()
    live.call("GET", "/v1/objects/obj_1/download?duration_seconds=99999", key["key_secret"])
    assert upstream.take()[0].target.endswith("?duration_seconds=99999")
