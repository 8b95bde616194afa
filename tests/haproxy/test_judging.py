"""HAProxy judges by itself, and asks Keyscope about what it cannot judge alone."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable

import httpx
import pytest

from keyscope.derive import attenuate
from keyscope.store.open import open_store
from tests.haproxy.conftest import UPSTREAM_KEY
from tests.haproxy.inside import USAGE, Inside, mistyped, stopped, until
from tests.live import Live
from tests.recorder import Recorder, Reply


def asked(inside: Inside, call: Callable[[], httpx.Response]) -> tuple[int, dict[str, int]]:
    """The status of a call, and which backend answered."""
    before = inside.answered_by()
    status = call().status_code
    after = inside.answered_by()
    return status, {name: after[name] - before[name] for name in ("api", "keyscope")}


ALONE, KEYSCOPE, NOBODY = {"api": 1, "keyscope": 0}, {"api": 0, "keyscope": 1}, {"api": 0, "keyscope": 0}


def test_it_allows_and_refuses_while_keyscope_stands_still(engine: Live, inside: Inside, upstream: Recorder) -> None:
    secret = engine.mint("devboxes:read")["key_secret"]
    with stopped(inside.worker):
        assert engine.call("GET", USAGE, secret).status_code == 200
        refused = engine.call("POST", "/v1/devboxes/dbx_1/suspend", secret)
        assert engine.call("GET", USAGE, "").status_code == 401
        assert engine.call("GET", USAGE, mistyped(secret)).status_code == 401
    assert [seen.method for seen in upstream.take()] == ["GET"]
    assert (refused.status_code, refused.json()["missing_scopes"]) == (403, ["devboxes:write"])
    assert "devboxes:write for suspendDevbox (POST /v1/devboxes/dbx_1/suspend)" in refused.json()["message"]
    assert 'error="insufficient_scope", scope="devboxes:write"' in refused.headers["www-authenticate"]


def test_what_it_says_by_itself_is_what_the_built_in_gate_says(engine: Live, inside: Inside) -> None:
    secret = engine.mint("devboxes:read")["key_secret"]
    # A field that HAProxy never judges with makes it ask.
    for method, key in (("GET", ""), ("GET", mistyped(secret)), ("POST", secret)):
        path = "/v1/devboxes/dbx_1/suspend" if method == "POST" else USAGE
        alone = engine.call(method, path, key)
        keyscopes = engine.call(method, path, key, headers={"te": "trailers"})
        assert (alone.status_code, "server" in alone.headers) == (keyscopes.status_code, False)
        for name in ("www-authenticate", "cache-control", "content-type"):
            assert alone.headers[name] == keyscopes.headers[name]
        words, theirs = alone.json(), keyscopes.json()
        assert words.keys() == theirs.keys()
        assert all(words[name] == theirs[name] for name in words.keys() - {"message", "detail", "next"})


def test_a_refusal_of_a_call_with_a_body_leaves_the_connection_open(engine: Live, inside: Inside) -> None:
    """To a caller that is still sending, a connection that ends looks like a fault, and it would send again."""
    secret = engine.mint("devboxes:read")["key_secret"]
    refused = [(secret, 403), (mistyped(secret), 401), ("", 401)]
    connection = http.client.HTTPConnection("127.0.0.1", engine.port, timeout=10)
    try:
        for key, status in refused:
            connection.putrequest("POST", "/v1/devboxes/dbx_1/suspend")
            if key:
                connection.putheader("authorization", f"Bearer {key}")
            connection.putheader("content-length", "2")
            connection.endheaders()
            assert connection.sock is not None, "the connection before it was kept"
            connection.send(b"{}")
            answer = connection.getresponse()
            answer.read()
            assert (answer.status, answer.getheader("connection")) == (status, None)
    finally:
        connection.close()


def test_the_upstream_gets_its_own_key_and_who_called_and_nothing_that_could_mislead(
    engine: Live, inside: Inside, upstream: Recorder
) -> None:
    made = engine.mint("devboxes:read")
    spoofed = {"x-keyscope-key-id": "key_other", "x-forwarded-for": "1.2.3.4", "cookie": "a=b", "x_y": "1", "via": "x"}
    target = "/v1/devboxes/dbx_1/usage?limit=1"
    status, by = asked(inside, lambda: engine.call("GET", target, made["key_secret"], headers=spoofed))
    assert (status, by) == (200, ALONE)
    [seen] = upstream.take()
    assert seen.target == target
    assert seen.all("authorization") == [f"Bearer {UPSTREAM_KEY}"]
    assert seen.all("x-keyscope-key-id") == [made["id"]]
    assert len(seen.all("x-keyscope-account-id")) == 1
    assert seen.all("host") == [f"127.0.0.1:{upstream.port}"]
    assert not {name for name, _ in seen.headers} & {"x-forwarded-for", "cookie", "x_y", "via"}


def test_cookies_of_the_upstream_do_not_reach_the_caller(engine: Live, inside: Inside, upstream: Recorder) -> None:
    secret = engine.mint("devboxes:read")["key_secret"]
    upstream.respond = lambda _: Reply(headers=[("set-cookie", "a=b"), ("alt-svc", 'h3=":1"'), ("x-kept", "1")])
    response = engine.call("GET", USAGE, secret)
    upstream.respond = lambda _: Reply()
    assert (response.status_code, response.headers["x-kept"]) == (200, "1")
    assert not {"set-cookie", "alt-svc"} & set(response.headers)


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("POST", "/v1/devboxes", {}, 200),  # its body counts
        ("GET", USAGE, {"connection": "x-keyscope-key-id"}, 200),
        ("GET", USAGE, {"expect": "100-continue"}, 200),
        ("GET", "/v1/devboxes/me", {}, 200),  # a literal word elsewhere
        ("GET", "/v1/devboxes/a%20b", {}, 200),
        ("GET", "/v1/devboxes/dbx_1;x=1", {}, 400),
        ("GET", "/v1/devboxes/%2e%2e", {}, 400),
        ("GET", "/v1/devboxes/dbx_1/", {}, 400),
        ("GET", "/v1/nowhere", {}, 403),
        ("GET", "/keyscope/me", {}, 200),
        ("GET", "/v1/restricted_keys", {}, 403),
    ],
)
def test_it_asks_about_what_is_not_plain(
    engine: Live, inside: Inside, method: str, path: str, headers: dict[str, str], status: int
) -> None:
    secret = engine.mint("devboxes:write")["key_secret"]
    key = engine.http.build_request(method, engine.url, headers={"authorization": f"Bearer {secret}", **headers})
    key.extensions["target"] = path.encode()
    assert asked(inside, lambda: engine.http.send(key)) == (status, KEYSCOPE)


def test_a_derived_key_is_keyscopes_to_judge(engine: Live, inside: Inside) -> None:
    secret = engine.mint("devboxes:write")["key_secret"]
    derived = attenuate(secret, scopes=["devboxes:read"])
    assert asked(inside, lambda: engine.call("GET", USAGE, derived)) == (200, KEYSCOPE)
    assert asked(inside, lambda: engine.call("POST", "/v1/devboxes/dbx_1/suspend", derived)) == (403, KEYSCOPE)


def test_a_new_key_is_known_when_it_is_handed_out(engine: Live, inside: Inside) -> None:
    for _ in range(50):
        secret = engine.mint("devboxes:read")["key_secret"]
        assert asked(inside, lambda key=secret: engine.call("GET", USAGE, key)) == (200, ALONE)  # type: ignore[misc]


@pytest.mark.parametrize("change", ["revoke", "suspend", "narrow", "expire", "rotate"])
def test_a_change_holds_for_the_next_request(engine: Live, inside: Inside, change: str) -> None:
    made = engine.mint("devboxes:write")
    path = f"/v1/restricted_keys/{made['id']}"
    suspend = "/v1/devboxes/dbx_1/suspend"
    assert engine.call("POST", suspend, made["key_secret"]).status_code == 200
    if change == "narrow":
        body = {"scopes": [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}]}
        assert engine.call("POST", path, json=body).status_code == 200
        assert engine.call("GET", USAGE, made["key_secret"]).status_code == 200
    elif change == "expire":
        soon = int(time.time() * 1000) + 300
        assert engine.call("POST", path, json={"expires_at_ms": soon}).status_code == 200
        until(lambda: time.time() * 1000 > soon)
    else:
        assert engine.call("POST", f"{path}/{change}", json={}).status_code == 200
    assert engine.call("POST", suspend, made["key_secret"]).status_code == (403 if change == "narrow" else 401)


def test_a_key_with_restrictions_is_keyscopes_to_judge_from_the_change_on(engine: Live, inside: Inside) -> None:
    made = engine.mint("devboxes:read")
    key = made["key_secret"]
    assert asked(inside, lambda: engine.call("GET", USAGE, key)) == (200, ALONE)
    changed = engine.call(
        "POST", f"/v1/restricted_keys/{made['id']}", json={"restrictions": {"deny": ["getDevboxResourceUsage"]}}
    )
    assert changed.status_code == 200
    assert asked(inside, lambda: engine.call("GET", USAGE, key)) == (403, KEYSCOPE)
    child = engine.mint("devboxes:read", restrictions={"instances": {"devboxes": ["dbx_1"]}})["key_secret"]
    assert asked(inside, lambda: engine.call("GET", "/v1/devboxes/dbx_1/usage", child)) == (200, KEYSCOPE)
    assert asked(inside, lambda: engine.call("GET", "/v1/devboxes/dbx_2/usage", child)) == (403, KEYSCOPE)


def test_a_key_that_is_observed_is_keyscopes_to_judge(engine: Live, inside: Inside) -> None:
    made = engine.mint("devboxes:read")
    suspend = "/v1/devboxes/dbx_1/suspend"
    assert asked(inside, lambda: engine.call("POST", suspend, made["key_secret"])) == (403, NOBODY)
    path = f"/v1/restricted_keys/{made['id']}/observe"
    assert engine.call("POST", path, json={"until_ms": int(time.time() * 1000) + 60_000}).status_code == 200
    assert asked(inside, lambda: engine.call("POST", suspend, made["key_secret"])) == (200, KEYSCOPE)
    assert engine.call("POST", path, json={"until_ms": None}).status_code == 200
    assert engine.call("POST", suspend, made["key_secret"]).status_code == 403


def test_a_key_that_was_narrowed_is_keyscopes_to_refuse(engine: Live, inside: Inside) -> None:
    made = engine.mint("devboxes:write")
    scopes = [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}]
    done = engine.call("POST", f"/v1/restricted_keys/{made['id']}/narrow", json={"scopes": scopes})
    assert done.status_code == 200
    refused = engine.call("POST", "/v1/devboxes/dbx_1/suspend", made["key_secret"])
    assert (refused.status_code, "keys revert" in refused.json()["next"][0]) == (403, True)


@pytest.mark.parametrize(("scope", "by"), [("devboxes:read", KEYSCOPE), ("devboxes:write", ALONE)])
def test_a_credential_in_a_reply_goes_only_to_who_may_have_it(
    scope: str, by: dict[str, int], engine: Live, inside: Inside, upstream: Recorder
) -> None:
    upstream.respond = lambda _: Reply(body=b'{"id":"dbx_1","tunnel":{"auth_token":"s3cret","auth_mode":"open"}}')
    secret = engine.mint(scope)["key_secret"]
    assert asked(inside, lambda: engine.call("GET", "/v1/devboxes/dbx_1", secret)) == (200, by)
    assert (b"s3cret" in engine.call("GET", "/v1/devboxes/dbx_1", secret).content) == (by is ALONE)


def test_a_key_expires_at_its_time_without_anybody_telling(engine: Live, inside: Inside) -> None:
    soon = int(time.time() * 1000) + 400
    secret = engine.mint("devboxes:read", expires_at_ms=soon)["key_secret"]
    assert asked(inside, lambda: engine.call("GET", USAGE, secret)) == (200, ALONE)
    until(lambda: time.time() * 1000 >= soon)
    assert engine.call("GET", USAGE, secret).status_code == 401


def test_the_use_of_a_dead_key_is_counted(engine: Live, inside: Inside) -> None:
    made = engine.mint("devboxes:read")
    engine.revoke(made["id"])
    assert engine.call("GET", USAGE, made["key_secret"]).status_code == 401
    until(lambda: engine.call("GET", f"/v1/restricted_keys/{made['id']}").json()["dead_uses"])


def test_a_use_that_haproxy_saw_is_written_down(engine: Live, inside: Inside) -> None:
    made = engine.mint("devboxes:read")
    assert asked(inside, lambda: engine.call("GET", USAGE, made["key_secret"])) == (200, ALONE)
    used = until(lambda: engine.call("GET", f"/v1/restricted_keys/{made['id']}").json()["last_used_at_ms"])
    assert abs(used - time.time() * 1000) < 60_000


def test_the_record_names_the_callers_address(engine: Live, inside: Inside) -> None:
    made = engine.mint("devboxes:read")
    spoofed = {"x-keyscope-peer": "8.8.8.8"}
    assert engine.call("POST", f"/v1/restricted_keys/{made['id']}/revoke", json={}, headers=spoofed).status_code == 200
    store = open_store(f"sqlite:///{engine.database}")
    events = store.read(lambda reader: reader.changes(limit=10_000))
    store.close()
    [peer] = [told.event.origin.peer for told in events if told.event.key_id == made["id"]][1:]
    assert peer == "127.0.0.1"


def test_without_its_leave_it_asks_about_everything(engine: Live, inside: Inside) -> None:
    secret = engine.mint("devboxes:read")["key_secret"]
    for until_ms in (0, int(time.time() * 1000) + 3_600_000):  # never renewed; renewed before the clock was set back
        with stopped(inside.engine):
            inside.ask(f"set map {inside.folder / 'lease.map'} until {until_ms}")
            assert asked(inside, lambda: engine.call("GET", USAGE, secret)) == (200, KEYSCOPE)


def test_most_operations_are_judged_alone(inside: Inside) -> None:
    calls = inside.map("calls.map")
    assert len(calls) > 180
    assert "/v1/devboxes/*:GET" in calls
    assert not any(call.startswith(("/keyscope", "/v1/restricted_keys", "/v1/apikeys")) for call in calls)
