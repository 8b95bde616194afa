"""What a real server writes down: changes, denials, and the count of what was allowed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.audit.seen import Seen
from tests.live import Live
from tests.recorder import Recorder

WAIT_S = 10.0


@pytest.fixture
def server(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory(), upstream=upstream.url) as live:
        yield live


def test_changes_denials_and_counts_are_there_after_a_stop(server: Live) -> None:
    key = server.mint("devboxes:read", name="watched")
    for _ in range(7):
        assert server.call("GET", "/v1/devboxes", key["key_secret"]).status_code == 200
    refused = server.call("POST", "/v1/devboxes", key["key_secret"], headers={"x-request-id": "req-1"})
    assert refused.status_code == 403
    assert server.call("GET", "/v1/devboxes", "").status_code == 401
    server.revoke(key["id"])
    assert server.call("GET", "/v1/devboxes", key["key_secret"]).status_code == 401
    server.stop()
    seen = Seen(server)
    assert next(e.kind for e in seen.entries()) == "trail.begun"
    changed = [e.kind for e in seen.entries(key_id=key["id"]) if e.event is not None]
    assert changed == ["key.minted", "key.revoked", "key.dead_used"]
    assert [(u.operation, u.calls, list(map(str, u.needs))) for u in seen.uses() if u.key_id == key["id"]] == [
        ("listDevboxes", 7, ["devboxes:read"])
    ]
    lacking, dead = seen.entries(key_id=key["id"], kind="call.denied")
    assert (lacking.code, lacking.reasons, lacking.missing) == (
        "insufficient_scope",
        ("missing_scope",),
        ("devboxes:write",),
    )
    assert (lacking.operation, lacking.method, lacking.path) == ("createDevbox", "POST", "/v1/devboxes")
    assert (lacking.peer, lacking.request_id) == ("127.0.0.1", "req-1")
    assert (lacking.chain[0], len(lacking.chain)) == (key["id"], 2)
    assert (dead.code, dead.reasons) == ("invalid_token", ("revoked",))
    (nobody,) = [e for e in seen.entries(kind="call.denied") if e.key_id is None]
    assert (nobody.code, nobody.account_id, nobody.peer) == ("missing_credential", None, "127.0.0.1")


def test_what_is_recorded_can_be_read_within_a_second(server: Live) -> None:
    key = server.mint("devboxes:read")
    server.call("DELETE", "/nowhere", key["key_secret"])
    end = time.monotonic() + WAIT_S
    while not (found := Seen(server).entries(kind="call.denied")):
        assert time.monotonic() < end
    assert (found[0].code, found[0].operation, found[0].path) == ("not_in_policy", None, "/nowhere")


def test_a_management_call_that_the_authority_refuses_is_recorded(server: Live) -> None:
    minter = server.mint("account:write")
    stranger = server.mint("devboxes:read")
    assert server.revoke(stranger["id"], minter["key_secret"]).status_code == 403
    asked = {"scopes": [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}]}
    assert server.call("POST", "/v1/restricted_keys", minter["key_secret"], json=asked).status_code == 403
    form = {"token": stranger["key_secret"]}
    assert server.call("POST", "/keyscope/oauth/revoke", minter["key_secret"], data=form).status_code == 403
    server.stop()
    found = Seen(server).entries(key_id=minter["id"], kind="call.denied")
    assert [(entry.operation, entry.code) for entry in found] == [
        ("revokeRestrictedKey", "outside_tree"),
        ("createRestrictedKey", "exceeds_parent"),
        ("revokeToken", "outside_tree"),
    ]


def test_a_body_is_counted_once_and_by_all_that_it_needed(server: Live) -> None:
    key = server.mint("devboxes:write")
    assert server.call("POST", "/v1/devboxes", key["key_secret"], json={"name": "a"}).status_code == 200
    assert server.call("POST", "/v1/devboxes", key["key_secret"]).status_code == 200
    with_blueprint = {"blueprint_id": "bpt_1"}
    assert server.call("POST", "/v1/devboxes", key["key_secret"], json=with_blueprint).status_code == 403
    server.stop()
    seen = Seen(server)
    assert [(c.operation, c.calls) for c in seen.uses() if c.key_id == key["id"]] == [("createDevbox", 2)]
    [denied] = seen.entries(key_id=key["id"], kind="call.denied")
    assert denied.missing == ("blueprints:read",)


def test_no_text_of_a_key_is_written_down_whatever_a_caller_sends(server: Live) -> None:
    key = server.mint("devboxes:read")
    secret = key["key_secret"]
    for path in (f"/v1/{secret}", f"/v1/devboxes/{secret}/x{secret}", f"/v1/{secret[:-2]}", "/v1/" + "x" * 3000):
        assert server.call("POST", path, secret, headers={"x-request-id": secret}).status_code == 403
    server.stop()
    entries = Seen(server).entries(kind="call.denied", key_id=key["id"])
    assert [entry.path for entry in entries[:3]] == ["/v1/[key]", "/v1/devboxes/[key]/x[key]", "/v1/[key]"]
    assert len(entries[3].path or "") == 256
    assert {entry.request_id for entry in entries} == {None}
    assert secret[3:40].encode() not in b"".join(p.read_bytes() for p in server.directory.iterdir() if p.is_file())


def test_the_files_of_the_trail_are_this_users_alone(server: Live) -> None:
    server.stop()
    modes = {path.name: path.stat().st_mode & 0o777 for path in server.directory.glob("keyscope.db.audit*")}
    assert set(modes) >= {"keyscope.db.audit", "keyscope.db.audit.key", "keyscope.db.audit.checkpoint"}
    assert set(modes.values()) == {0o600}
