"""An account's rules on its keys: what is refused, what is filled in, and who is suspended for being idle."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from keyscope.authority.bootstrap import bootstrap
from keyscope.authority.idle import suspend_idle
from keyscope.authority.lifecycle import Lifecycle
from keyscope.authority.mint import Minted, Minting, Wanted
from keyscope.authority.ports import Writer
from keyscope.authority.rules import Rules, to_json
from keyscope.model.event import Origin
from keyscope.model.key import Lineage, State
from keyscope.model.token import Kind
from keyscope.store.open import open_store
from tests.laws.seams import HandClock, SeededEntropy
from tests.life.asking import KEYS, done, fault, now_ms, status
from tests.live import Live, wire_scopes

HOUR_MS = 3_600_000
NONE = {
    "max_lifetime_ms": None,
    "require_expiry": False,
    "max_idle_ms": None,
    "allowed_scopes": None,
    "name_pattern": None,
}


@pytest.fixture(scope="module")
def ruled(new_directory: Callable[[], Path]) -> Iterator[Live]:
    with Live(new_directory()) as server:
        yield server


def rule(live: Live, by: str | None = None, **rules: Any) -> dict[str, Any]:
    return done(live.call("POST", "/keyscope/rules", by, json=rules))


def mint(live: Live, path: str = KEYS, **body: Any) -> Any:
    return live.call("POST", path, json=body)


def test_without_rules_nothing_is_asked(ruled: Live) -> None:
    rule(ruled)
    assert done(ruled.call("GET", "/keyscope/rules")) == NONE
    done(mint(ruled))


def test_rules_are_replaced_as_a_whole_and_shown(ruled: Live) -> None:
    asked: dict[str, Any] = {
        "max_lifetime_ms": 5000,
        "allowed_scopes": wire_scopes(["devboxes:read"]),
        "name_pattern": "a*",
    }
    assert rule(ruled, **asked) == {**NONE, **asked}
    assert rule(ruled, require_expiry=True) == {**NONE, "require_expiry": True}
    assert done(ruled.call("GET", "/keyscope/rules")) == {**NONE, "require_expiry": True}


def test_a_lifetime_is_a_ceiling_and_a_default(ruled: Live) -> None:
    rule(ruled, max_lifetime_ms=HOUR_MS)
    before = now_ms()
    for path in (KEYS, "/v1/apikeys"):
        made = done(mint(ruled, path))
        assert before + HOUR_MS <= made["expires_at_ms"] <= now_ms() + HOUR_MS
        assert "$.expires_at_ms" in fault(
            mint(ruled, path, expires_at_ms=now_ms() + 2 * HOUR_MS), 400, "rule_violation"
        )
        done(mint(ruled, path, expires_at_ms=now_ms() + HOUR_MS // 2))


def test_a_child_of_a_parent_that_ends_sooner_ends_with_it(ruled: Live) -> None:
    rule(ruled, max_lifetime_ms=HOUR_MS)
    ends = now_ms() + HOUR_MS // 4
    parent = done(mint(ruled, scopes=wire_scopes(["account:write"]), expires_at_ms=ends))
    child = done(ruled.call("POST", KEYS, parent["key_secret"], json={}))
    assert child["expires_at_ms"] == ends


def test_an_update_stays_within_the_lifetime_since_the_mint(ruled: Live) -> None:
    rule(ruled, max_lifetime_ms=HOUR_MS)
    made = done(mint(ruled))
    path = f"{KEYS}/{made['id']}"
    fault(ruled.call("POST", path, json={"expires_at_ms": made["expires_at_ms"] + 1}), 400, "rule_violation")
    fault(ruled.call("POST", path, json={"expires_at_ms": None}), 400, "rule_violation")
    done(ruled.call("POST", path, json={"expires_at_ms": made["expires_at_ms"] - 1}))


def test_an_expiry_can_be_required(ruled: Live) -> None:
    rule(ruled, require_expiry=True)
    assert "must have an expiry" in fault(mint(ruled), 400, "rule_violation")
    made = done(mint(ruled, expires_at_ms=now_ms() + HOUR_MS))
    fault(ruled.call("POST", f"{KEYS}/{made['id']}", json={"expires_at_ms": None}), 400, "rule_violation")


def test_scopes_have_a_ceiling_for_restricted_keys(ruled: Live) -> None:
    rule(ruled, allowed_scopes=wire_scopes(["devboxes:read", "objects:write"]))
    made = done(mint(ruled, scopes=wire_scopes(["devboxes:read"])))
    message = fault(mint(ruled, scopes=wire_scopes(["devboxes:write", "account:read"])), 400, "rule_violation")
    assert "devboxes:write" in message
    assert "account:read" in message
    wider = {"scopes": wire_scopes(["objects:write", "agents:read"])}
    fault(ruled.call("POST", f"{KEYS}/{made['id']}", json=wider), 400, "rule_violation")
    done(mint(ruled, "/v1/apikeys"))
    rule(ruled, allowed_scopes=[])
    fault(mint(ruled, scopes=wire_scopes(["devboxes:read"])), 400, "rule_violation")


def test_names_follow_a_pattern(ruled: Live) -> None:
    rule(ruled, name_pattern="agent-?*")
    made = done(mint(ruled, name="agent-7"))
    for name in ("Agent-7", "agent-", "x"):
        assert "$.name" in fault(mint(ruled, name=name), 400, "rule_violation")
    fault(mint(ruled), 400, "rule_violation")
    fault(ruled.call("POST", f"{KEYS}/{made['id']}", json={"name": "other"}), 400, "rule_violation")
    done(ruled.call("POST", f"{KEYS}/{made['id']}", json={"name": "agent-8"}))


def test_all_rules_that_are_broken_are_named_at_once(ruled: Live) -> None:
    rule(ruled, require_expiry=True, name_pattern="a*", allowed_scopes=[])
    refused = mint(ruled, name="b", scopes=wire_scopes(["devboxes:read"]))
    assert {item["path"] for item in refused.json()["faults"]} == {"$.name", "$.scopes", "$.expires_at_ms"}


def test_existing_keys_stay_as_they_are(ruled: Live) -> None:
    rule(ruled)
    made = done(mint(ruled, name="old", scopes=wire_scopes(["devboxes:read"])))
    rule(ruled, require_expiry=True, name_pattern="a*", allowed_scopes=[])
    assert status(ruled, made["key_secret"]) == 200


def test_only_a_standard_key_sets_rules(ruled: Live) -> None:
    rule(ruled)
    made = done(mint(ruled, scopes=wire_scopes(["account:write"])))
    fault(ruled.call("POST", "/keyscope/rules", made["key_secret"], json={}), 403, "standard_key_required")
    assert done(ruled.call("GET", "/keyscope/rules", made["key_secret"])) == NONE


@pytest.mark.parametrize(
    "wrong",
    [{"max_lifetime_ms": 0}, {"max_idle_ms": HOUR_MS - 1}, {"name_pattern": ""}, {"require_expiry": 1}, {"x": 1}],
)
def test_wrong_rules_are_refused(ruled: Live, wrong: dict[str, Any]) -> None:
    fault(ruled.call("POST", "/keyscope/rules", json=wrong), 400, "invalid_request")


@pytest.mark.parametrize("database", ["memory://", "sqlite:///{folder}/k.db"])
def test_idle_restricted_keys_are_suspended_and_a_resumed_one_starts_anew(database: str, tmp_path: Path) -> None:
    clock, entropy = HandClock(), SeededEntropy()
    store = open_store(database.format(folder=tmp_path))
    first = bootstrap(store, clock, entropy)
    assert first is not None
    root, made = Lineage(first.key), list[Minted]()

    def mint_one() -> str:
        wanted = Wanted(kind=Kind.RESTRICTED)
        Minting(store, clock, entropy).mint(root, wanted, Origin(), lambda minted: made.append(minted) or b"")  # type: ignore[func-returns-value]
        return made[-1].key.id

    def state(key_id: str) -> State:
        found = store.read(lambda reader: reader.lineage(key_id))
        assert found is not None
        return found.state_at(clock.at_ms)

    idle, busy = mint_one(), mint_one()
    assert suspend_idle(store, clock) == 0
    rules = to_json(Rules(max_idle_ms=HOUR_MS))
    store.write(lambda writer: writer.set_rules(first.key.account_id, rules))
    clock.at_ms += HOUR_MS
    assert suspend_idle(store, clock) == 0

    def work(writer: Writer) -> None:
        writer.record_use({busy: clock.at_ms})

    store.write(work)
    clock.at_ms += 1
    assert suspend_idle(store, clock) == 1
    assert (state(idle), state(busy), state(first.key.id)) == (State.SUSPENDED, State.ACTIVE, State.ACTIVE)
    Lifecycle(store, clock, set()).resume(root, Kind.RESTRICTED, idle, Origin())
    clock.at_ms += HOUR_MS // 2
    assert suspend_idle(store, clock) == 0
    clock.at_ms += HOUR_MS
    assert suspend_idle(store, clock) == 2
    events = store.read(lambda reader: reader.events(first.key.account_id))
    suspended = [stored.event.key_id for stored in events if stored.event.kind.value == "key.suspended"]
    assert suspended in ([idle, idle, busy], [idle, busy, idle])
    store.close()


def test_the_server_looks_for_idle_keys(new_directory: Callable[[], Path]) -> None:
    """The store is made to look as if the key had not been used for a while; the server finds it on its own."""
    with Live(new_directory()) as live:
        made = live.mint("devboxes:read")
        rule(live, max_idle_ms=HOUR_MS)
        live.stop()
        age(live, made["id"], 2 * HOUR_MS)
        live.start()
        end = time.monotonic() + 10
        while "1 idle keys were suspended" not in live.log:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert status(live, made["key_secret"]) == 401


def age(live: Live, key_id: str, ms: int) -> None:
    store = open_store(f"sqlite:///{live.database}")

    def work(writer: Writer) -> None:
        key = writer.key(key_id)
        assert key is not None
        writer.replace_key(replace(key, created_at_ms=key.created_at_ms - ms))

    store.write(work)
    store.close()
