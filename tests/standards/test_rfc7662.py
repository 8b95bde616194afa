"""Token introspection (RFC 7662): each requirement that binds Keyscope, over HTTP."""

from __future__ import annotations

import time

import httpx
import pytest

from keyscope.api.introspection import INTROSPECT
from keyscope.derive import attenuate, derived_id
from tests.attacks.fixtures import World, now_ms
from tests.live import Live
from tests.recorder import Recorder
from tests.standards.asking import FORM, active, allowed, asked, introspect, revoke

HOUR_MS = 3_600_000


def test_an_active_key_is_described_with_registered_members(live: Live, world: World, asker: str) -> None:
    before_s = time.time_ns() // 1_000_000_000
    made = live.mint("devboxes:read", "objects:write", expires_at_ms=now_ms() + HOUR_MS)
    answer = introspect(live, made["key_secret"], asker)
    said = answer.json()
    assert answer.status_code == 200
    assert before_s <= said.pop("iat") <= time.time_ns() // 1_000_000_000
    assert said.pop("client_id") == live.call("GET", "/keyscope/me").json()["id"]
    assert said == {
        "active": True,
        "scope": "devboxes:read objects:read objects:write",
        "token_type": "Bearer",
        "exp": made["expires_at_ms"] // 1000,
        "sub": made["id"],
        "jti": made["id"],
        "iss": live.url,
        "account_id": world.account,
    }


def test_a_standard_key_has_every_scope_and_no_end(live: Live) -> None:
    said = introspect(live, live.first).json()
    kinds = live.call("GET", "/keyscope/operations").json()["resource_types"]
    assert said["scope"].split() == [f"{kind}:{level}" for kind in kinds for level in ("read", "write")]
    assert "exp" not in said
    assert said["client_id"] == said["account_id"]


def test_write_stands_with_the_read_that_it_includes(live: Live) -> None:
    assert introspect(live, live.mint("agents:write")["key_secret"]).json()["scope"] == "agents:read agents:write"


def test_a_key_without_scopes_has_an_empty_scope(live: Live) -> None:
    assert introspect(live, live.mint()["key_secret"]).json()["scope"] == ""


def test_the_end_is_the_earliest_of_the_whole_line(live: Live) -> None:
    parent = live.mint("account:write", "devboxes:read", expires_at_ms=now_ms() + HOUR_MS)
    child = live.mint("devboxes:read", by=parent["key_secret"])
    assert introspect(live, child["key_secret"]).json()["exp"] == parent["expires_at_ms"] // 1000


def test_the_scope_is_what_the_ancestors_leave(live: Live) -> None:
    parent = live.mint("account:write", "devboxes:write")
    child = live.mint("devboxes:write", by=parent["key_secret"])
    live.call("POST", f"/v1/restricted_keys/{parent['id']}", json={"scopes": []})
    assert introspect(live, child["key_secret"]).json()["scope"] == ""


def test_a_derived_key_is_described_as_narrowed_and_never_by_the_wider_keys_id(live: Live) -> None:
    made = live.mint("devboxes:write", "objects:read")
    derived = attenuate(made["key_secret"], scopes=["devboxes:read"])
    said = introspect(live, derived).json()
    own = derived_id(derived)
    assert (said["sub"], said["jti"], said["client_id"], said["scope"]) == (own, own, made["id"], "devboxes:read")
    assert not allowed(live, asked(said["sub"], "GET", "/v1/devboxes"))  # AuthZEN judges keys that the server knows


def _states(live: Live, world: World) -> dict[str, str]:
    revoked, suspended = live.mint("devboxes:read"), live.mint("devboxes:read")
    live.revoke(revoked["id"])
    live.call("POST", f"/v1/restricted_keys/{suspended['id']}/suspend")
    rotated = live.mint("devboxes:read")
    live.call("POST", f"/v1/restricted_keys/{rotated['id']}/rotate")
    ended = live.mint("devboxes:read", expires_at_ms=now_ms() + 300)
    while now_ms() < ended["expires_at_ms"]:
        time.sleep(0.01)
    return {
        "revoked": revoked["key_secret"],
        "suspended": suspended["key_secret"],
        "rotated out": rotated["key_secret"],
        "expired": ended["key_secret"],
        "of another account": world.other.secret,
        "malformed": "no key at all ☃",
        "never issued": "rk_" + "0" * 49,
    }


def test_every_key_that_is_not_active_gets_one_answer_and_nothing_else(live: Live, world: World) -> None:
    bodies = {state: introspect(live, token).content for state, token in _states(live, world).items()}
    assert set(bodies.values()) == {b'{"active":false}'}


def test_revocation_shows_at_once(live: Live) -> None:
    made = live.mint("devboxes:read")
    assert active(live, made["key_secret"])
    live.revoke(made["id"])
    assert not active(live, made["key_secret"])


def test_the_caller_must_be_authorised(live: Live) -> None:
    token = live.mint("devboxes:read")["key_secret"]
    nobody = introspect(live, token, "")
    stranger = introspect(live, token, "rk_" + "0" * 49)
    plain = introspect(live, token, token)
    assert (nobody.status_code, stranger.status_code, plain.status_code) == (401, 401, 403)
    assert nobody.headers["www-authenticate"] == 'Bearer realm="keyscope"'
    assert 'error="invalid_token"' in stranger.headers["www-authenticate"]
    assert 'scope="account:read"' in plain.headers["www-authenticate"]
    assert [r.json()["error"] for r in (nobody, stranger, plain)] == [
        "invalid_client",
        "invalid_client",
        "insufficient_scope",
    ]


def test_a_caller_that_may_no_longer_ask_hears_nothing(live: Live) -> None:
    caller = live.mint("account:read")
    assert active(live, live.first, caller["key_secret"])
    live.revoke(caller["id"])
    assert introspect(live, live.first, caller["key_secret"]).status_code == 401


@pytest.mark.parametrize("hint", ["access_token", "refresh_token", "nonsense"])
def test_a_hint_never_hides_a_key(live: Live, hint: str) -> None:
    token = live.mint("devboxes:read")["key_secret"]
    assert introspect(live, token, token_type_hint=hint).json()["active"] is True


def test_unknown_parameters_are_ignored(live: Live) -> None:
    assert introspect(live, live.first, resource="https://api.example.com").status_code == 200


def test_no_answer_may_be_cached(live: Live) -> None:
    assert introspect(live, live.first).headers["cache-control"] == "no-store"
    assert introspect(live, "nonsense").headers["cache-control"] == "no-store"


def _error(response: httpx.Response) -> str:
    said = response.json()
    assert said.keys() == {"error", "error_description"}
    assert all(char in range(0x20, 0x7F) and char not in b'"\\' for char in said["error_description"].encode())
    assert response.status_code == 400
    assert response.headers["cache-control"] == "no-store"
    error: str = said["error"]
    return error


BAD_FORMS = {
    "no token": b"",
    "an empty token": b"token=",
    "two tokens": b"token=a&token=b",
    "a repeated unknown": b"token=a&x=1&x=2",
    "no pair": b"token",
    "an empty piece": b"token=a&&x=1",
    "a broken triplet": b"token=%4",
    "a semicolon": b"token=a;token=b",
    "not UTF-8": b"token=%FF",
    "raw bytes": "token=é".encode(),
    "a second credential": b"token=a&access_token=b",
    "json": b'{"token": "a"}',
}


@pytest.mark.parametrize("body", BAD_FORMS.values(), ids=BAD_FORMS.keys())
def test_a_form_that_is_not_one_is_an_invalid_request(live: Live, body: bytes) -> None:
    response = live.call("POST", INTROSPECT, content=body, headers=FORM)
    assert _error(response) == "invalid_request"


@pytest.mark.parametrize("kind", ["application/json", "text/plain", "multipart/form-data; boundary=x", ""])
def test_only_a_form_is_read(live: Live, kind: str) -> None:
    headers = {"content-type": kind} if kind else {}
    response = live.call("POST", INTROSPECT, content=b"token=a", headers=headers)
    assert _error(response) == "invalid_request"


def test_a_key_in_the_query_is_refused(live: Live) -> None:
    token = live.mint("devboxes:read")["key_secret"]
    assert _error(live.call("POST", f"{INTROSPECT}?token={token}", data={"token": token})) == "invalid_request"
    assert live.call("GET", f"{INTROSPECT}?token={token}").status_code == 405


def test_two_authorization_headers_are_an_invalid_request(live: Live) -> None:
    key = f"Bearer {live.first}"
    headers = [("authorization", key), ("authorization", key), *FORM.items()]
    response = live.http.post(INTROSPECT, content=b"token=a", headers=headers)
    assert _error(response) == "invalid_request"


def test_a_body_beyond_the_limit_is_refused(live: Live) -> None:
    response = live.call("POST", INTROSPECT, content=b"token=" + b"a" * (1 << 20), headers=FORM)
    assert (response.status_code, response.json()["error"]) == (413, "invalid_request")


def test_introspection_reaches_no_upstream(live: Live, upstream: Recorder) -> None:
    upstream.take()
    introspect(live, live.first)
    revoke(live, "nonsense")
    assert upstream.take() == []
