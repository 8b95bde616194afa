"""Restrictions over the API: given at mint and update, seen everywhere that a key is seen, judged on the next call."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.life.asking import KEYS, done, fault, now_ms, status, view
from tests.live import Live, wire_scopes
from tests.recorder import Recorder

ONE: dict[str, Any] = {"instances": {"devboxes": ["dbx_a", "ci-*"]}}


@pytest.fixture(scope="module")
def live(upstream: Recorder, new_directory: Callable[[], Path]) -> Iterator[Live]:
    """A server that nobody stands in front of, and that was told so."""
    environment = {"KEYSCOPE_UPSTREAM_KEY": "ak_upstream_key_of_the_tests", "KEYSCOPE_TRUSTED_PROXIES": "none"}
    with Live(new_directory(), upstream=upstream.url, environment=environment) as server:
        yield server


def refused(live: Live, body: dict[str, Any], by: str | None = None, path: str = KEYS) -> list[tuple[str, str]]:
    response = live.call("POST", path, by, json=body)
    assert response.status_code in (400, 403), response.text
    return [(one["path"], one["message"]) for one in response.json()["faults"]]


def change(live: Live, key_id: str, restrictions: Any, by: str | None = None) -> Any:
    return live.call("POST", f"{KEYS}/{key_id}", by, json={"restrictions": restrictions})


def test_a_mint_takes_restrictions_and_its_reply_keeps_to_runloops_members(live: Live) -> None:
    made = live.mint("devboxes:write", restrictions=ONE)
    assert set(made) == {"id", "name", "key_secret", "scopes"}
    described = view(live, made["id"])
    assert described["restrictions"] == {"instances": {"devboxes": ["ci-*", "dbx_a"]}}
    assert described["effective_restrictions"] == [{"holder": made["id"], "restrictions": described["restrictions"]}]
    listed = done(live.call("GET", f"{KEYS}?limit=1"))["restricted_keys"][0]
    assert listed["restrictions"] == described["restrictions"]
    assert view(live, live.mint("devboxes:read")["id"])["restrictions"] is None


def test_they_hold_from_the_first_call_and_a_change_from_the_next(live: Live, upstream: Recorder) -> None:
    made = live.mint("devboxes:write", restrictions=ONE)
    secret = made["key_secret"]
    assert live.call("GET", "/v1/devboxes/dbx_a", secret).status_code == 200
    before = len(upstream.seen)
    told = fault(live.call("GET", "/v1/devboxes/dbx_b", secret), 403, "restricted")
    assert "limited to certain devboxes" in told
    assert len(upstream.seen) == before
    done(change(live, made["id"], {"instances": {"devboxes": ["dbx_b"]}}))
    assert live.call("GET", "/v1/devboxes/dbx_b", secret).status_code == 200
    assert live.call("GET", "/v1/devboxes/dbx_a", secret).status_code == 403
    done(change(live, made["id"], None))
    assert view(live, made["id"])["restrictions"] is None
    assert live.call("GET", "/v1/devboxes/dbx_a", secret).status_code == 200


def test_an_update_of_something_else_leaves_them(live: Live) -> None:
    made = live.mint("devboxes:write", restrictions=ONE)
    done(live.call("POST", f"{KEYS}/{made['id']}", json={"name": "other"}))
    done(live.call("POST", f"{KEYS}/{made['id']}/rotate"))
    assert view(live, made["id"])["restrictions"] is not None


def test_what_a_body_names_is_judged_and_the_judged_value_goes_on(live: Live, upstream: Recorder) -> None:
    secret = live.mint("devboxes:write", "blueprints:read", restrictions={"instances": {"blueprints": ["bpt_1"]}})[
        "key_secret"
    ]
    headers = {"content-type": "application/json"}
    good = live.call("POST", "/v1/devboxes", secret, content=b'{ "blueprint_id" : "bpt_1" }', headers=headers)
    assert good.status_code == 200
    assert upstream.seen[-1].body == b'{"blueprint_id":"bpt_1"}'
    before = len(upstream.seen)
    twice = b'{"blueprint_id":"bpt_2","blueprint_id":"bpt_1"}'
    for body, code in ((b'{"blueprint_id":"bpt_2"}', 403), (twice, 400), (b'{"blueprint_id":["bpt_1"]}', 403)):
        assert live.call("POST", "/v1/devboxes", secret, content=body, headers=headers).status_code == code
    assert len(upstream.seen) == before


def test_every_fault_is_named_with_its_path_and_the_remedy(live: Live) -> None:
    wrong = {
        "uses": 0,
        "cidrs": ["10.0.0.1/8"],
        "deny": ["shutDownDevbox"],
        "instances": {"devbox": ["a"]},
        "use": 1,
        "window": {"from": "9"},
    }
    found = dict(refused(live, {"restrictions": wrong, "scopes": [], "expires_at_ms": 5}))
    assert found["$.restrictions.uses"].startswith("send a whole number")
    assert found["$.restrictions.cidrs[0]"].endswith("did you mean 10.0.0.0/8?")
    assert found["$.restrictions.use"] == "there is no such restriction; did you mean uses?"
    assert "$.restrictions.window.from" in found
    assert "$.expires_at_ms" in found


def test_names_that_the_policy_does_not_have_are_refused_so_that_no_restriction_is_silently_none(live: Live) -> None:
    wrong = {"deny": ["shutDownDevbox"], "instances": {"devbox": ["a"]}, "own": ["device"], "hold": {"delay_ms": 1, "operations": ["x"]}}  # fmt: skip  # noqa: E501
    found = dict(refused(live, {"restrictions": wrong}))
    assert (
        found["$.restrictions.deny"] == "'shutDownDevbox' is no operation of the policy; did you mean shutdownDevbox?"
    )
    assert (
        found["$.restrictions.instances.devbox"] == "'devbox' is no resource type of the policy; did you mean devboxes?"
    )
    assert "GET /keyscope/operations lists them" in found["$.restrictions.hold.operations"]
    assert "devboxes" in found["$.restrictions.own"]


def test_a_standard_key_takes_none_and_is_told_what_to_do(live: Live) -> None:
    (found,) = refused(live, {"restrictions": {"uses": 1}}, path="/v1/apikeys")
    assert found == (
        "$.restrictions",
        "a standard key has full access and takes no restrictions: mint a restricted key instead",
    )


def test_cidrs_hold_the_address_of_the_connection_where_nobody_stands_in_front(live: Live) -> None:
    here = live.mint("devboxes:read", restrictions={"cidrs": ["127.0.0.0/8"]})["key_secret"]
    elsewhere = live.mint("devboxes:read", restrictions={"cidrs": ["192.0.2.0/24"]})["key_secret"]
    forwarded = {"x-forwarded-for": "192.0.2.1"}
    assert live.call("GET", "/v1/devboxes", here, headers=forwarded).status_code == 200
    assert fault(live.call("GET", "/v1/devboxes", elsewhere, headers=forwarded), 403, "restricted")


def test_not_before_window_and_deny_hold(live: Live) -> None:
    early = live.mint("devboxes:write", restrictions={"not_before_ms": now_ms() + 3_600_000})["key_secret"]
    denied = live.mint("devboxes:write", restrictions={"deny": ["shutdownDevbox", "DELETE"]})["key_secret"]
    assert fault(live.call("GET", "/v1/devboxes", early), 403, "restricted")
    assert fault(live.call("POST", "/v1/devboxes/dbx_a/shutdown", denied), 403, "restricted")
    assert fault(live.call("DELETE", "/v1/axons/axn_1", denied), 403, "restricted")
    assert live.call("POST", "/v1/devboxes/dbx_a/suspend", denied).status_code == 200


def test_a_child_is_bound_by_all_above_it_and_cannot_be_minted_to_look_freer(live: Live) -> None:
    parent = live.mint("devboxes:write", "account:write", restrictions=ONE)
    child = live.mint("devboxes:write", by=parent["key_secret"], restrictions={"deny": ["shutdownDevbox"]})
    assert live.call("GET", "/v1/devboxes/dbx_b", child["key_secret"]).status_code == 403
    holders = [one["holder"] for one in view(live, child["id"])["effective_restrictions"]]
    assert holders == [child["id"], parent["id"]]
    wider = {"scopes": [], "restrictions": {"instances": {"devboxes": ["dbx_a", "dbx_c"]}}}
    ((path, message),) = refused(live, wider, parent["key_secret"])
    assert path == "$.restrictions.instances"
    assert parent["id"] in message


def test_a_restricted_caller_only_tightens(live: Live) -> None:
    parent = live.mint("devboxes:write", "account:write")
    by = parent["key_secret"]
    child = live.mint("devboxes:read", by=by, restrictions={"uses": 5, "deny": ["getDevbox"]})
    for looser in (None, {}, {"uses": 5}, {"uses": 6, "deny": ["getDevbox"]}, {"deny": ["getDevbox"]}):
        assert fault(change(live, child["id"], looser, by), 403, "exceeds_parent")
    tighter = {"uses": 4, "deny": ["getDevbox", "POST"], "parallel": 1}
    assert done(change(live, child["id"], tighter, by))["restrictions"]["uses"] == 4
    assert done(change(live, child["id"], None))["restrictions"] is None


def test_a_key_cannot_loosen_what_itself_has(live: Live) -> None:
    made = live.mint("devboxes:write", "account:write", restrictions=ONE)
    assert fault(change(live, made["id"], None, made["key_secret"]), 403, "exceeds_parent")


def test_the_key_is_told_what_it_is_restricted_to_and_may_ask_before_it_calls(live: Live) -> None:
    made = live.mint("devboxes:write", restrictions={**ONE, "not_before_ms": now_ms() + 3_600_000})
    me = done(live.call("GET", "/keyscope/me", made["key_secret"]))
    assert me["restrictions"][0]["restrictions"]["instances"] == {"devboxes": ["ci-*", "dbx_a"]}
    can = done(live.call("GET", "/keyscope/can?method=GET&path=/v1/devboxes/dbx_b", made["key_secret"]))
    assert not can["allowed"]
    assert can["reasons"] == ["too_early", "other_instance"]
    assert {one["holder"] for one in can["objections"]} == {made["id"]}
    said = live.call("GET", "/v1/devboxes/dbx_b", made["key_secret"]).json()
    assert said["next"] == can["next"]
    assert [one["reason"] for one in said["objections"]] == can["reasons"]


def test_a_key_can_end_itself_whatever_it_is_restricted_to(live: Live) -> None:
    secret = live.mint(restrictions={"cidrs": ["192.0.2.0/24"], "deny": ["POST"], "uses": 1})["key_secret"]
    assert status(live, secret) == 200
    done(live.call("POST", "/keyscope/me/revoke", secret))
    assert status(live, secret) == 401


def test_an_own_key_manages_the_keys_that_it_minted_and_knows_of_no_other(live: Live) -> None:
    mine = live.mint("devboxes:read", "account:write", restrictions={"own": True})
    child = live.mint("devboxes:read", by=mine["key_secret"])
    other = live.mint("devboxes:read")
    assert live.call("GET", f"{KEYS}/{child['id']}", mine["key_secret"]).status_code == 200
    foreign = live.call("GET", f"{KEYS}/{other['id']}", mine["key_secret"])
    nothing = live.call("GET", f"{KEYS}/key_0000000000000000000000", mine["key_secret"])
    assert foreign.status_code == nothing.status_code == 404
    assert foreign.json() == nothing.json()
    assert live.call("GET", KEYS, mine["key_secret"]).status_code == 403


def test_the_record_says_what_a_key_was_restricted_to_and_to_what_it_was_changed(live: Live) -> None:
    made = live.mint("devboxes:write", restrictions={"uses": 3})
    done(change(live, made["id"], {"uses": 2}))
    live.call("GET", "/v1/devboxes/dbx_a", made["key_secret"])
    done(change(live, made["id"], ONE))
    live.call("GET", "/v1/devboxes/dbx_b", made["key_secret"])

    def entries() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = done(live.call("GET", f"/keyscope/audit?key_id={made['id']}"))["entries"]
        return found

    end = time.monotonic() + 20
    while not any(entry["code"] == "restricted" and "other_instance" in entry["reasons"] for entry in entries()):
        assert time.monotonic() < end, entries()
        time.sleep(0.05)
    changes = [entry["changes"] for entry in entries() if entry["kind"] in ("key.minted", "key.updated")]
    assert {"uses": 3} in [one.get("restrictions") for one in changes]
    assert {"from": {"uses": 3}, "to": {"uses": 2}} in [one.get("restrictions") for one in changes]


def test_verify_says_them_and_judges_by_what_it_is_told(live: Live) -> None:
    secret = live.mint("devboxes:write", "blueprints:read", restrictions={
        "instances": {"devboxes": ["dbx_a"]}, "cidrs": ["192.0.2.0/24"]})["key_secret"]  # fmt: skip

    def verify(**more: Any) -> dict[str, Any]:
        return done(live.call("POST", "/keyscope/verify", json={"key": secret, "method": "GET", **more}))

    assert verify(path="/v1/devboxes/dbx_a", peer="192.0.2.9")["allowed"]
    assert verify(path="/v1/devboxes/dbx_b", peer="192.0.2.9")["reasons"] == ["other_instance"]
    assert verify(path="/v1/devboxes/dbx_a", peer="198.51.100.1")["reasons"] == ["other_address"]
    unknown = verify(path="/v1/devboxes/dbx_a")
    assert unknown["reasons"] == ["not_seen"]
    assert unknown["key"]["restrictions"]
    body = live.mint("devboxes:write", "blueprints:read", restrictions={"instances": {"blueprints": ["bpt_1"]}})
    asked = {"key": body["key_secret"], "method": "POST", "path": "/v1/devboxes"}
    first = done(live.call("POST", "/keyscope/verify", json=asked))
    assert first["allowed"]
    assert first["judged_by_body"]
    second = done(live.call("POST", "/keyscope/verify", json={**asked, "body": {"blueprint_id": "bpt_2"}}))
    assert not second["allowed"]


def test_introspection_gives_no_scope_to_who_goes_by_scopes_alone(live: Live) -> None:
    secret = live.mint("devboxes:write", restrictions=ONE)["key_secret"]
    said = done(live.call("POST", "/keyscope/introspect", data={"token": secret}))
    assert said["active"] is True
    assert said["scope"] == ""
    assert said["restrictions"][0]["restrictions"] == {"instances": {"devboxes": ["ci-*", "dbx_a"]}}


def test_authzen_judges_the_thing_that_the_route_names(live: Live) -> None:
    made = live.mint("devboxes:write", restrictions=ONE)

    def decision(path: str) -> Any:
        asked = {"subject": {"type": "key", "id": made["id"]}, "action": {"name": "GET"},
                 "resource": {"type": "route", "id": path}}  # fmt: skip
        return done(live.call("POST", "/keyscope/access/v1/evaluation", json=asked))["decision"]

    assert decision("/v1/devboxes/dbx_a") is True
    assert decision("/v1/devboxes/dbx_b") is False
    assert decision("/v1/devboxes/{id}") is False


def test_a_server_that_was_not_told_who_stands_in_front_takes_no_cidrs_and_lets_no_key_with_them_through(
    upstream: Recorder, new_directory: Callable[[], Path]
) -> None:
    directory = new_directory()
    cidrs = {"scopes": wire_scopes(["devboxes:read"]), "restrictions": {"cidrs": ["127.0.0.0/8"]}}
    with Live(directory, upstream=upstream.url, environment={"KEYSCOPE_TRUSTED_PROXIES": "none"}) as told:
        made = done(told.call("POST", KEYS, json=cidrs))
        assert told.call("GET", "/v1/devboxes", made["key_secret"]).status_code == 200
        told.stop()
        untold = Live(directory, upstream=upstream.url)
        untold.first = told.first
        with untold:
            ((path, message),) = refused(untold, cidrs)
            assert path == "$.restrictions.cidrs"
            assert "KEYSCOPE_TRUSTED_PROXIES" in message
            answer = untold.call("GET", "/v1/devboxes", made["key_secret"])
            assert answer.status_code == 403
            assert "KEYSCOPE_TRUSTED_PROXIES" in json.dumps(answer.json())


def test_behind_proxies_the_rightmost_address_that_is_not_theirs_counts(
    upstream: Recorder, new_directory: Callable[[], Path]
) -> None:
    environment = {"KEYSCOPE_TRUSTED_PROXIES": "127.0.0.1,10.0.0.0/8"}
    with Live(new_directory(), upstream=upstream.url, environment=environment) as behind:
        secret = behind.mint("devboxes:read", restrictions={"cidrs": ["192.0.2.0/24"]})["key_secret"]

        def called(*lines: str) -> int:
            fields = [("authorization", f"Bearer {secret}"), *(("x-forwarded-for", line) for line in lines)]
            return behind.http.get("/v1/devboxes", headers=fields).status_code

        assert called("192.0.2.7") == 200
        assert called("::ffff:192.0.2.7") == 200
        assert called("203.0.113.5, 192.0.2.7, 10.1.1.1") == 200
        assert called("203.0.113.5", "192.0.2.7", "10.1.1.1") == 200
        assert called("192.0.2.7, 203.0.113.5") == 403
        assert called("192.0.2.7", "203.0.113.5, 10.1.1.1") == 403
        assert called("192.0.2.7, nonsense") == 403
        assert called("192.0.2.7,") == 403
        assert called() == 403
