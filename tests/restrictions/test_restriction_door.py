"""At the door: what path, body and peer show is found out for keys that are restricted, and judged before all else."""

from __future__ import annotations

import json

import pytest

from keyscope.authority.verify import Verifier
from keyscope.gate.admit import admit, admit_with, first_look, is_judged_by_body
from keyscope.gate.sight import SEES_BODY, Sight
from keyscope.model.body import Json
from keyscope.model.decision import Allow
from keyscope.model.facts import BodySeen
from keyscope.model.ident import format_id
from keyscope.model.key import Key
from keyscope.model.restrictions import Restrictions
from keyscope.model.scope import Scope
from keyscope.model.token import Kind, format_token
from keyscope.store.memory import MemoryStore
from keyscope.wire.call import Call
from keyscope.wire.problem import Answer
from tests.laws.seams import HandClock
from tests.restrictions.making import EVERYTHING, runloop
from tests.store.samples import put

SECRET = format_token(Kind.RESTRICTED, b"r" * 32)
"""The key's, which a memory of the tests holds alone."""


def door(restrictions: dict[str, Json]) -> Verifier:
    root = Key(
        id=format_id("key", 0, b"0" * 10), account_id="acct_1", kind=Kind.STANDARD, name="root", digest=b"0" * 32,
        hint="abcd", scopes=(), created_at_ms=0,
    )  # fmt: skip
    key = Key(
        id=format_id("key", 1, b"1" * 10), account_id="acct_1", kind=Kind.RESTRICTED, name="agent",
        digest=SECRET.digest, hint="abcd", created_at_ms=0, parent_id=root.id,
        scopes=tuple(Scope.parse(f"{name}:write") for name in EVERYTHING.split()),
        restrictions=Restrictions.parse(restrictions),
    )  # fmt: skip
    store = MemoryStore()
    put(store, root, key)
    return Verifier(store.open_index(), runloop(), HandClock(1_000_000), set())


def call(method: str, path: str, peer: str = "10.0.0.1") -> Call:
    headers = [(b"authorization", b"Bearer " + SECRET.reveal().encode())]
    return Call(method=method, path=path, query=b"", headers=headers, peer=peer)


def code(outcome: Allow | Answer) -> str:
    return json.loads(outcome.body)["code"] if isinstance(outcome, Answer) else "allowed"


@pytest.mark.parametrize(
    ("restrictions", "method", "path", "expected"),
    [
        ({"instances": {"devboxes": ["dbx_a"]}}, "GET", "/v1/devboxes/dbx_a", "allowed"),
        ({"instances": {"devboxes": ["dbx_a"]}}, "GET", "/v1/devboxes/dbx_b", "restricted"),
        ({"instances": {"devboxes": ["dbx_a"]}}, "HEAD", "/v1/devboxes/dbx_b", "restricted"),
        ({"instances": {"account": ["a é"]}}, "GET", "/v1/secrets/a%20%C3%A9", "allowed"),
        ({"own": True}, "GET", "/v1/devboxes/dbx_a", "not_found"),
        ({"deny": ["GET"]}, "HEAD", "/v1/devboxes/dbx_a", "restricted"),
        ({"deny": ["GET"]}, "GET", "/v1/no/such", "not_in_policy"),
        ({"cidrs": ["10.0.0.0/8"]}, "GET", "/v1/devboxes/dbx_a", "allowed"),
        ({"cidrs": ["192.0.2.0/24"]}, "GET", "/v1/devboxes/dbx_a", "restricted"),
        ({"uses": 1}, "GET", "/v1/devboxes/dbx_a", "restricted"),
        ({"not_before_ms": 1_000_001}, "GET", "/v1/devboxes/dbx_a", "restricted"),
    ],
)  # fmt: skip
def test_the_head_of_a_call_is_judged(restrictions: dict[str, Json], method: str, path: str, expected: str) -> None:
    sight = Sight(body=BodySeen.LATER, knows_peer=True)
    assert code(first_look(door(restrictions), call(method, path), sight)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"blueprint_id": "bpt_1"}, "allowed"),
        (None, "allowed"),
        ({"blueprint_id": "bpt_2"}, "restricted"),
        ({"blueprint_id": {"x": "bpt_1"}}, "restricted"),
    ],
)
def test_what_the_body_names_is_judged_before_the_call_goes_on(body: Json, expected: str) -> None:
    verifier = door({"instances": {"blueprints": ["bpt_1"]}})
    first = first_look(verifier, call("POST", "/v1/devboxes"))
    assert isinstance(first, Allow)
    assert is_judged_by_body(first)
    assert not verifier.used
    assert code(admit_with(verifier, first, call("POST", "/v1/devboxes"), body)) == expected
    assert bool(verifier.used) == (expected == "allowed")


def test_a_reference_that_calls_for_no_scope_makes_the_gate_read_the_body() -> None:
    first = first_look(door({"instances": {"account": ["CI_TOKEN"]}}), call("POST", "/v1/gateway-configs/CI_TOKEN"))
    assert isinstance(first, Allow)
    assert first.access.route is not None
    assert not first.access.route.conditions
    assert is_judged_by_body(first)


def test_a_key_that_is_not_limited_to_things_has_no_more_bodies_read() -> None:
    first = first_look(door({"not_before_ms": 1}), call("POST", "/v1/gateway-configs/gwc_1"))
    assert isinstance(first, Allow)
    assert not is_judged_by_body(first)


def test_owners_are_asked_for_the_things_shown_and_only_for_keys_of_their_own() -> None:
    asked: list[object] = []
    sight = Sight(body=BodySeen.WHOLE, owners=lambda account, things: asked.append((account, list(things))) or {})  # type: ignore[func-returns-value]
    admit(door({"instances": {"devboxes": ["dbx_a"]}}), call("GET", "/v1/devboxes/dbx_a"), sight)
    assert asked == []
    admit(door({"own": True}), call("GET", "/v1/devboxes/dbx_a"), sight)
    assert asked == [("acct_1", [("devboxes", "dbx_a")])]


def test_a_refusal_says_what_objects_and_what_would_help() -> None:
    outcome = first_look(
        door({"instances": {"devboxes": ["dbx_a"]}, "uses": 2}), call("GET", "/v1/devboxes/dbx_b"), SEES_BODY
    )
    assert isinstance(outcome, Answer)
    assert outcome.status == 403
    told = json.loads(outcome.body)
    assert "The key is limited to certain devboxes, and this is about others, or makes new ones." in told["message"]
    assert "calls are not counted here" in told["message"]
    assert told["missing_scopes"] == []
    assert len(told["next"]) == 2
    assert "dbx_b" not in json.dumps(told["next"])


def test_what_a_key_does_not_own_is_answered_in_the_words_of_what_does_not_exist() -> None:
    verifier = door({"own": True})
    foreign = first_look(verifier, call("GET", "/v1/devboxes/dbx_other"))
    unknown = first_look(verifier, call("GET", "/v1/devboxes/no_such"))
    assert isinstance(foreign, Answer)
    assert foreign.status == 404
    assert foreign == unknown
