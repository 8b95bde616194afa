"""A key with a lease lives as long as it is renewed, and not a request longer."""

from __future__ import annotations

import time
from typing import Any

import pytest

from keyscope.authority.mint import Minted, Minting, Wanted, draw
from keyscope.authority.ports import Account
from keyscope.authority.runs import LAPSED, Runs
from keyscope.authority.verify import Verifier
from keyscope.errors import InvalidToken
from keyscope.model.event import Origin
from keyscope.model.key import Lineage
from keyscope.model.operation import Table
from keyscope.model.run import Run
from keyscope.model.token import Kind
from keyscope.store.memory import MemoryStore
from tests.laws.seams import HandClock, SeededEntropy
from tests.life.asking import done, fault, now_ms, status, verb, view
from tests.live import Live, wire_scopes

HOUR_MS = 3_600_000


def until(condition: Any) -> None:
    """Return once it holds. What is waited for takes a few seconds at most."""
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def leased(live: Live, lease_ms: int, by: str | None = None, **body: Any) -> dict[str, Any]:
    return live.mint("devboxes:read", by=by, run={"lease_ms": lease_ms}, **body)


def renew(live: Live, key: str) -> Any:
    return live.call("POST", "/keyscope/me/renew", key, json={})


def test_a_lease_that_ends_refuses_the_key_and_is_then_recorded_as_why(live: Live) -> None:
    made = leased(live, 1_000)
    assert status(live, made["key_secret"]) == 200
    end_ms = view(live, made["id"])["run"]["lease_until_ms"]
    until(lambda: status(live, made["key_secret"]) == 401)
    assert now_ms() >= end_ms
    until(lambda: view(live, made["id"])["status"] == "revoked")
    assert view(live, made["id"])["revoked_reason"] == LAPSED


def test_a_renewed_key_lives_on_and_says_until_when(live: Live) -> None:
    made = leased(live, HOUR_MS)
    before = view(live, made["id"])["run"]
    until(lambda: now_ms() > before["lease_until_ms"] - HOUR_MS)
    renewed = done(renew(live, made["key_secret"]))
    assert renewed["lease_until_ms"] > before["lease_until_ms"]
    assert view(live, made["id"])["run"] == renewed
    me = done(live.call("GET", "/keyscope/me", made["key_secret"]))
    assert (me["run"], me["expires_at_ms"]) == (renewed, renewed["lease_until_ms"])


def test_what_a_key_with_a_lease_minted_ends_with_it_and_is_renewed_with_it(live: Live) -> None:
    parent = leased(live, HOUR_MS, expires_at_ms=now_ms() + 2 * HOUR_MS)
    done(live.call("POST", f"/v1/restricted_keys/{parent['id']}", json={"scopes": wire_scopes(["account:write"])}))
    child = live.mint(by=parent["key_secret"])
    assert child["expires_at_ms"] == parent["expires_at_ms"]
    later = live.mint(by=parent["key_secret"], expires_at_ms=parent["expires_at_ms"])
    assert done(live.call("GET", "/keyscope/me", later["key_secret"]))["expires_at_ms"] < now_ms() + HOUR_MS + 1
    fault(renew(live, child["key_secret"]), 400, "invalid_request")
    done(verb(live, parent["id"], "revoke"))
    assert (status(live, child["key_secret"]), status(live, later["key_secret"])) == (401, 401)


def test_a_key_that_was_brought_back_has_a_new_lease(live: Live) -> None:
    made = leased(live, 1_000)
    until(lambda: view(live, made["id"])["status"] == "revoked")
    back = done(verb(live, made["id"], "undelete"))
    assert (back["status"], back["run"]["lease_until_ms"] > now_ms() - 1_000) == ("active", True)


@pytest.mark.parametrize(
    ("run", "remedy"),
    [
        ({}, "say what the key is bound to"),
        ({"lease_ms": 999}, "greater than or equal to 1000"),
        ({"lease_ms": True}, "valid integer"),
        ({"devbox_id": "a b"}, "not the id of a devbox"),
        ({"devbox": "dbx_1"}, "unknown member"),
    ],
)
def test_what_is_no_run_is_refused_with_the_remedy(live: Live, run: dict[str, object], remedy: str) -> None:
    answer = live.call("POST", "/v1/restricted_keys", json={"run": run})
    assert answer.status_code == 400
    assert remedy in answer.text


def test_a_standard_key_is_bound_to_nothing(live: Live) -> None:
    answer = live.call("POST", "/v1/apikeys", json={"run": {"lease_ms": 5_000}})
    assert (answer.status_code, "$.run" in answer.text) == (400, True)


def test_the_last_millisecond_of_a_lease_is_the_one_before_its_end() -> None:
    clock, store = HandClock(), MemoryStore()
    runs, minted = Runs(store, clock, set()), minted_with(Run(lease_ms=1_000), store, clock)
    verifier = Verifier(store.open_index(), Table(()), clock, set())
    token, line = minted.secret.reveal().encode(), Lineage(minted.key)
    clock.at_ms += 999
    assert (verifier.live(token).key.id, runs.sweep()) == (minted.key.id, 0)
    runs.renew(line, Origin())
    clock.at_ms += 999
    assert verifier.live(token).key.id == minted.key.id
    clock.at_ms += 1
    with pytest.raises(InvalidToken):
        verifier.live(token)
    with pytest.raises(InvalidToken):
        runs.renew(line, Origin())
    assert runs.sweep() == 1
    ended = store.read(lambda reader: reader.key(minted.key.id))
    assert ended is not None
    assert ended.revoked_reason == LAPSED


def minted_with(run: Run, store: MemoryStore, clock: HandClock) -> Minted:
    """A restricted key below the first one of a new account."""
    entropy, made = SeededEntropy(), []
    store.write(lambda writer: writer.add_account(Account("acct_1", "One", clock.now_ms())))
    first = draw(Wanted(kind=Kind.STANDARD), "acct_1", None, clock.now_ms(), entropy)
    store.write(lambda writer: writer.add_key(first.key))

    def render(minted: Minted) -> bytes:
        made.append(minted)
        return b""

    wanted = Wanted(kind=Kind.RESTRICTED, run=run)
    Minting(store, clock, entropy).mint(Lineage(first.key), wanted, Origin(), render)
    return made[0]
