"""Delegation: the live ceiling over a whole tree, its limits, and the chain in every event."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from keyscope.authority.ports import StoredEvent
from keyscope.store.open import open_store
from tests.life.asking import KEYS, done, fault, status, view
from tests.life.forest import plant
from tests.live import Live, wire_scopes


def test_narrowing_the_top_narrows_the_bottom_at_the_next_request(live: Live) -> None:
    top = live.mint("devboxes:write", "account:write")
    middle = live.mint("devboxes:write", "account:write", by=top["key_secret"])
    bottom = live.mint("devboxes:write", by=middle["key_secret"])
    assert live.call("POST", "/v1/devboxes", bottom["key_secret"], json={}).status_code == 200
    done(live.call("POST", f"{KEYS}/{top['id']}", json={"scopes": wire_scopes(["devboxes:read"])}))
    refused = live.call("POST", "/v1/devboxes", bottom["key_secret"], json={})
    assert refused.json()["missing_scopes"] == ["devboxes:write"]
    assert live.call("GET", "/v1/devboxes", bottom["key_secret"]).status_code == 200
    assert view(live, bottom["id"])["effective_scopes"] == wire_scopes(["devboxes:read"])


def test_a_tree_says_who_minted_whom(live: Live) -> None:
    top = live.mint("account:write", "devboxes:read", name="top")
    left = live.mint("account:write", by=top["key_secret"], name="left")
    right = live.mint("devboxes:read", by=top["key_secret"], name="right")
    leaf = live.mint(by=left["key_secret"], name="leaf")
    live.revoke(left["id"])
    tree = done(live.call("GET", f"{KEYS}/{top['id']}/tree"))
    first = done(live.call("GET", "/keyscope/me"))["id"]
    assert tree["ancestors"] == [first]
    assert tree["root"]["id"] == top["id"]
    found = {
        node["name"]: (node["id"], node["parent_id"], node["depth"], node["status"]) for node in tree["descendants"]
    }
    assert found == {
        "left": (left["id"], top["id"], 1, "revoked"),
        "right": (right["id"], top["id"], 1, "active"),
        "leaf": (leaf["id"], left["id"], 2, "revoked"),
    }
    assert (tree["has_more"], tree["total_count"]) == (False, 3)


def test_a_tree_comes_in_pages(live: Live) -> None:
    top = live.mint("account:write")
    made = [live.mint(by=top["key_secret"])["id"] for _ in range(5)]
    page = done(live.call("GET", f"{KEYS}/{top['id']}/tree?limit=3"))
    assert (page["has_more"], page["total_count"]) == (True, 5)
    last = page["descendants"][-1]["id"]
    rest = done(live.call("GET", f"{KEYS}/{top['id']}/tree?limit=3&starting_after={last}"))
    assert sorted(node["id"] for node in page["descendants"] + rest["descendants"]) == sorted(made)
    fault(live.call("GET", f"{KEYS}/{top['id']}/tree?limit=0"), 400, "invalid_request")


def test_depth_and_fan_out_have_limits(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--max-key-depth", "3", "--max-child-keys", "2"]) as strict:
        top = strict.mint("account:write")
        child = strict.mint("account:write", by=top["key_secret"])
        strict.mint("account:write", by=top["key_secret"])
        deeper = strict.call("POST", KEYS, child["key_secret"], json={})
        assert "3 keys" in fault(deeper, 403, "exceeds_parent")
        more = strict.call("POST", KEYS, top["key_secret"], json={})
        assert "revoke some" in fault(more, 403, "exceeds_parent")
        strict.revoke(child["id"])
        strict.mint(by=top["key_secret"])
        for _ in range(4):
            strict.mint()  # a standard key has no such limit


def test_every_event_carries_the_chain(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        first = done(live.call("GET", "/keyscope/me"))["id"]
        top = live.mint("account:write")
        child = live.mint("account:write", by=top["key_secret"])
        leaf = live.mint(by=child["key_secret"])
        for name in ("rotate", "suspend", "revoke"):
            done(live.call("POST", f"{KEYS}/{leaf['id']}/{name}", child["key_secret"]))
        account = done(live.call("GET", "/keyscope/me"))["account_id"]
        live.stop()
        events = events_of(live, account)
    chains = {(e.event.kind.value, e.event.key_id): e.event.origin.chain for e in events}
    line = (child["id"], top["id"], first)
    for kind in ("key.minted", "key.rotated", "key.suspended", "key.revoked"):
        assert chains[kind, leaf["id"]] == line
    assert chains["key.minted", top["id"]] == (first,)


def events_of(live: Live, account: str) -> list[StoredEvent]:
    store = open_store(f"sqlite:///{live.database}")
    try:
        return store.read(lambda reader: reader.events(account, limit=10_000))
    finally:
        store.close()


def test_ten_thousand_descendants_die_with_their_root_at_the_next_request(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory()) as live:
        root = live.mint("account:write", "devboxes:read")
        live.stop()
        secrets = plant(live.database, root["id"], generations=10, width=1000)
        live.start()
        probed = secrets[::997] + secrets[-1:]
        assert {status(live, secret) for secret in probed} == {200}
        assert done(live.call("GET", f"{KEYS}/{root['id']}/tree?limit=1"))["total_count"] == 10_000
        assert done(live.revoke(root["id"]))["died_with_it"]["count"] == 10_000
        assert {status(live, secret) for secret in probed} == {401}
