"""List, describe, update and revoke: what Runloop's public API lacks."""

from __future__ import annotations

import time
from typing import Any

import pytest

from keyscope.authority.bootstrap import bootstrap
from keyscope.authority.ports import Account, Writer
from keyscope.model.key import Key
from keyscope.model.scope import Scope
from keyscope.model.token import Kind, format_token
from keyscope.store.open import open_store
from keyscope.system import SystemClock, SystemEntropy
from tests.live import Live, wire_scopes

HOUR_MS = 3_600_000


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def describe(live: Live, key_id: str, kind: str = "restricted_keys") -> dict[str, Any]:
    response = live.call("GET", f"/v1/{kind}/{key_id}")
    assert response.status_code == 200, response.text
    view: dict[str, Any] = response.json()
    return view


def update(live: Live, key_id: str, by: str | None = None, **change: Any) -> Any:
    return live.call("POST", f"/v1/restricted_keys/{key_id}", by, json=change)


def test_describe_says_everything_but_the_secret(live: Live) -> None:
    before = now_ms()
    made = live.mint("devboxes:read", name="described", expires_at_ms=before + HOUR_MS)
    view = describe(live, made["id"])
    assert before <= view.pop("created_at_ms") <= now_ms()
    first = live.call("GET", "/keyscope/me").json()["id"]
    assert view == {
        "id": made["id"],
        "name": "described",
        "kind": "restricted",
        "status": "active",
        "hint": made["key_secret"][-4:],
        "created_by": first,
        "parent_id": first,
        "expires_at_ms": before + HOUR_MS,
        "last_used_at_ms": None,
        "revoked_at_ms": None,
        "revoked_reason": None,
        "suspended_at_ms": None,
        "rotated_at_ms": None,
        "dead_uses": 0,
        "dead_used_at_ms": None,
        "leaked_at_ms": None,
        "narrowed_at_ms": None,
        "restrictions": None,
        "effective_restrictions": [],
        "spent": [],
        "run": None,
        "narrowed_from": None,
        "observe_until_ms": None,
        "scopes": made["scopes"],
        "effective_scopes": made["scopes"],
    }


def test_a_kind_is_found_only_under_its_own_path(live: Live) -> None:
    restricted, standard = live.mint()["id"], live.mint_standard()["id"]
    assert live.call("GET", f"/v1/apikeys/{restricted}").status_code == 404
    assert live.call("GET", f"/v1/restricted_keys/{standard}").status_code == 404
    assert describe(live, standard, "apikeys")["kind"] == "standard"


def test_lists_are_newest_first_and_paged_whole(live: Live) -> None:
    made = [live.mint(name=f"paged-{number}")["id"] for number in range(5)]
    seen: list[str] = []
    after = ""
    while True:
        page = live.call("GET", f"/v1/restricted_keys?name=paged&limit=2{after}").json()
        seen += [key["id"] for key in page["restricted_keys"]]
        assert page["total_count"] == 5
        if not page["has_more"]:
            break
        after = f"&starting_after={seen[-1]}"
    assert seen == made[::-1]


@pytest.fixture(scope="module")
def sample(live: Live) -> dict[str, str]:
    """One key of each sort, by a name of its own."""
    minter = live.mint("account:write", "objects:write", name="f-minter")
    ids = {
        "minter": minter["id"],
        "child": live.mint("objects:read", name="f-child", by=minter["key_secret"])["id"],
        "soon": live.mint(name="f-soon", expires_at_ms=now_ms() + HOUR_MS)["id"],
        "revoked": live.mint(name="f-revoked")["id"],
    }
    live.revoke(ids["revoked"])
    return ids


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("name=F-CHILD", ["child"]),
        ("status=revoked", ["revoked"]),
        ("status=active", ["soon", "child", "minter"]),
        ("resource_type=RESOURCE_TYPE_OBJECTS", ["child", "minter"]),
        ("created_by={minter}", ["child"]),
        ("status=active&expires_before_ms={later}", ["soon"]),
        ("last_used_before_ms={later}&status=revoked", ["revoked"]),
    ],
)
def test_filters_find_exactly_what_they_say(live: Live, sample: dict[str, str], query: str, found: list[str]) -> None:
    text = query.format(**sample, later=now_ms() + 2 * HOUR_MS)
    name = "" if "name=" in text else "name=f-&"
    page = live.call("GET", f"/v1/restricted_keys?{name}{text}").json()
    assert [key["id"] for key in page["restricted_keys"]] == [sample[word] for word in found]
    assert page["total_count"] == len(found)


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=5001", "limit=x", "limit=1&limit=2", "status=dead", "resource_type=X", "expires_before_ms=-1"],
)
def test_a_wrong_filter_is_named(live: Live, query: str) -> None:
    response = live.call("GET", f"/v1/restricted_keys?{query}")
    assert response.status_code == 400
    assert response.json()["faults"][0]["path"] == f"query.{query.split('=')[0]}"


def test_the_count_can_be_left_out(live: Live) -> None:
    assert live.call("GET", "/v1/restricted_keys?include_total_count=false").json()["total_count"] is None


def test_narrowing_is_seen_by_the_next_request(live: Live) -> None:
    made = live.mint("devboxes:write")
    assert live.call("GET", "/v1/devboxes", made["key_secret"]).status_code == 200
    view = update(live, made["id"], scopes=wire_scopes(["objects:read"]), name="narrow").json()
    assert (view["name"], view["scopes"]) == ("narrow", wire_scopes(["objects:read"]))
    assert live.call("GET", "/v1/devboxes", made["key_secret"]).status_code == 403
    assert live.call("GET", "/v1/objects", made["key_secret"]).status_code == 200


def test_a_standard_key_extends_and_ends_lives(live: Live) -> None:
    made = live.mint("devboxes:read", expires_at_ms=now_ms() + HOUR_MS)
    later = now_ms() + 2 * HOUR_MS
    assert update(live, made["id"], expires_at_ms=later).json()["expires_at_ms"] == later
    assert update(live, made["id"], expires_at_ms=None).json()["expires_at_ms"] is None
    assert update(live, made["id"], name="kept").json()["expires_at_ms"] is None


def test_a_restricted_key_manages_its_own_tree_only(live: Live) -> None:
    minter = live.mint("account:write", "devboxes:read", "objects:read")
    stranger, child = live.mint("devboxes:read"), live.mint("devboxes:read", by=minter["key_secret"])
    by = minter["key_secret"]
    assert update(live, child["id"], by, name="mine").status_code == 200
    assert update(live, child["id"], by, scopes=wire_scopes(["objects:read"])).status_code == 200
    for response in (update(live, stranger["id"], by, name="theirs"), live.revoke(stranger["id"], by)):
        assert (response.status_code, response.json()["code"]) == (403, "outside_tree")
    wider = update(live, child["id"], by, scopes=wire_scopes(["devboxes:write"]))
    assert (wider.status_code, wider.json()["code"]) == (403, "exceeds_parent")
    own = update(live, minter["id"], by, scopes=wire_scopes(["account:write", "devboxes:write"]))
    assert (own.status_code, own.json()["code"]) == (403, "exceeds_parent")


def test_not_even_a_standard_key_lifts_a_child_above_its_parent(live: Live) -> None:
    minter = live.mint("account:write", "devboxes:read")
    child = live.mint("devboxes:read", by=minter["key_secret"])
    response = update(live, child["id"], scopes=wire_scopes(["devboxes:write"]))
    assert (response.status_code, response.json()["code"]) == (403, "exceeds_parent")


def test_revoking_takes_the_whole_tree_and_says_so(live: Live) -> None:
    minter = live.mint("account:write", "devboxes:read")
    child = live.mint("account:write", "devboxes:read", by=minter["key_secret"])
    grandchild = live.mint("devboxes:read", by=child["key_secret"])
    assert live.call("GET", "/v1/devboxes", grandchild["key_secret"]).status_code == 200
    response = live.call("POST", f"/v1/restricted_keys/{minter['id']}/revoke", json={"reason": "leaked"})
    view = response.json()
    assert (view["status"], view["revoked_reason"]) == ("revoked", "leaked")
    assert view["died_with_it"] == {"count": 2, "ids": [child["id"], grandchild["id"]]}
    for key in (minter, child, grandchild):
        assert live.call("GET", "/v1/devboxes", key["key_secret"]).status_code == 401
        assert describe(live, key["id"])["status"] == "revoked"
    assert live.call("POST", "/v1/restricted_keys", child["key_secret"], json={}).status_code == 401


def test_revoking_twice_keeps_the_first_record(live: Live) -> None:
    made = live.mint()
    first = live.call("POST", f"/v1/restricted_keys/{made['id']}/revoke", json={"reason": "one"}).json()
    again = live.call("POST", f"/v1/restricted_keys/{made['id']}/revoke", json={"reason": "two"}).json()
    assert (again["revoked_at_ms"], again["revoked_reason"]) == (first["revoked_at_ms"], "one")


def test_a_revoked_key_stays_as_it_is(live: Live) -> None:
    made = live.mint()
    live.revoke(made["id"])
    response = update(live, made["id"], name="back")
    assert (response.status_code, response.json()["code"]) == (400, "invalid_request")


def test_a_revoked_standard_key_takes_its_children_along(live: Live) -> None:
    standard = live.mint_standard()
    child = live.mint("devboxes:read", by=standard["key_secret"])
    assert live.call("POST", f"/v1/apikeys/{standard['id']}/revoke").json()["died_with_it"]["count"] == 1
    assert live.call("GET", "/v1/devboxes", child["key_secret"]).status_code == 401


@pytest.fixture(scope="module")
def foreign(live: Live) -> tuple[str, str]:
    """The secret of another account's standard key, and the id of its restricted one."""
    entropy = SystemEntropy()
    ak, rk = (format_token(kind, entropy.random_bytes(32)) for kind in (Kind.STANDARD, Kind.RESTRICTED))
    common: dict[str, Any] = {"account_id": "acct_foreign", "created_at_ms": now_ms(), "hint": "xxxx"}
    owner = Key(id="key_" + "F" * 22, kind=Kind.STANDARD, name="f", digest=ak.digest, scopes=(), **common)
    other = Key(
        id="key_" + "G" * 22,
        kind=Kind.RESTRICTED,
        name="g",
        digest=rk.digest,
        scopes=(Scope.parse("devboxes:read"),),
        parent_id=owner.id,
        **common,
    )

    def work(writer: Writer) -> None:
        writer.add_account(Account("acct_foreign", "foreign", now_ms()))
        writer.add_key(owner)
        writer.add_key(other)

    store = open_store(f"sqlite:///{live.database}")
    assert bootstrap(store, SystemClock(), entropy) is None
    store.write(work)
    store.close()
    return ak.reveal(), other.id


def test_a_line_of_keys_ends_at_64_generations(live: Live) -> None:
    key = live.mint("account:write")["key_secret"]
    for _ in range(62):
        key = live.mint("account:write", by=key)["key_secret"]
    assert live.call("GET", "/keyscope/me", key).status_code == 200
    response = live.call("POST", "/v1/restricted_keys", key, json={})
    assert (response.status_code, response.json()["code"]) == (403, "exceeds_parent")


def test_another_accounts_keys_do_not_exist(live: Live, foreign: tuple[str, str]) -> None:
    secret, key_id = foreign
    unknown = "key_" + "0" * 22
    for path, method in (("", "GET"), ("", "POST"), ("/revoke", "POST")):
        mine = live.call(method, f"/v1/restricted_keys/{key_id}{path}")
        none = live.call(method, f"/v1/restricted_keys/{unknown}{path}")
        assert (mine.status_code, mine.content) == (404, none.content)
    assert live.call("GET", f"/v1/restricted_keys/{key_id}", secret).status_code == 200
    listed = live.call("GET", "/v1/restricted_keys", secret).json()["restricted_keys"]
    assert [key["id"] for key in listed] == [key_id]


def test_last_use_is_noted_within_seconds(live: Live) -> None:
    made = live.mint("devboxes:read")
    before = now_ms()
    live.call("GET", "/v1/devboxes", made["key_secret"])
    live.stop()  # an orderly end writes what was not written yet
    live.start()
    used = describe(live, made["id"])["last_used_at_ms"]
    assert before - 1 <= used <= now_ms()
