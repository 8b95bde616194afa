"""A plan is exactly what the calls need, by the table that the gates judge with."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from keyscope.model.access import Access
from keyscope.model.decision import Allow, decide
from keyscope.model.key import Key
from keyscope.model.operation import Operation, Table
from keyscope.model.scope import Grant, Level, Scope
from keyscope.plan.calls import Attempt, attempt
from keyscope.plan.plan import Plan, plan
from keyscope.plan.read import read_calls
from keyscope.policy.document import load
from keyscope.policy.own import with_own_operations
from tests.laws.strategies import line, restricted_keys
from tests.plan.files import entry, har, trace

POLICY = with_own_operations(load("runloop"))
TABLE = POLICY.table()


def planned(raw: bytes, *, cautious: bool = False) -> Plan:
    return plan(TABLE, read_calls(raw, None, None), cautious=cautious)


def words(scopes: tuple[Scope, ...]) -> str:
    return " ".join(map(str, scopes))


def test_each_scope_says_which_operations_need_it() -> None:
    made = planned(b"GET /v1/devboxes\nGET /v1/devboxes/dbx_1\ncreateObject\ncreateObject\n")
    assert words(made.scopes) == "devboxes:read objects:write"
    devboxes, objects = made.needs
    assert [reason.operation for reason in devboxes.reasons] == ["listDevboxes", "getDevbox"]
    assert [(reason.call, reason.calls) for reason in objects.reasons] == [("POST /v1/objects", 2)]
    assert (made.calls, made.outside) == (4, ())


def test_only_operations_that_need_the_level_are_its_reasons() -> None:
    [need] = planned(b"listDevboxes\ncreateDevbox\n").needs
    assert (str(need.scope), [reason.operation for reason in need.reasons]) == ("devboxes:write", ["createDevbox"])


def test_a_body_counts() -> None:
    plain = planned(har(entry("POST", "/v1/devboxes", {"name": "a"})))
    assert (words(plain.scopes), plain.maybe) == ("devboxes:write", ())
    of_blueprint = planned(har(entry("POST", "/v1/devboxes", {"blueprint_id": "bpt_1"})))
    assert words(of_blueprint.scopes) == "blueprints:read devboxes:write"
    of_secrets = planned(trace({"method": "POST", "path": "/v1/devboxes", "body": {"secrets": {"A": "b"}}}))
    assert words(of_secrets.scopes) == "account:read devboxes:write"


def test_what_an_unknown_body_may_need_is_said_and_granted_only_on_wish() -> None:
    made = planned(b"createDevbox\n")
    assert words(made.scopes) == "devboxes:write"
    assert "blueprints:read" in {str(maybe.scope) for maybe in made.maybe}
    cautious = planned(b"createDevbox\n", cautious=True)
    assert "blueprints:read" in words(cautious.scopes)
    assert cautious.maybe == ()
    assert all(need.reasons for need in cautious.needs)


def test_what_is_outside_the_policy_is_counted_and_said_why() -> None:
    made = planned(b"GET /nowhere\nGET /nowhere\nlistDevboxs\nGET /v1/devboxes/\nBREW /v1/devboxes\nlistDevboxes\n")
    assert [(outside.call, outside.calls) for outside in made.outside] == [
        ("GET /nowhere", 2),
        ("listDevboxs", 1),
        ("GET /v1/devboxes/", 1),
        ("BREW /v1/devboxes", 1),
    ]
    assert "did you mean listDevboxes?" in made.outside[1].why
    assert words(made.scopes) == "devboxes:read"


def test_calls_that_need_nothing_plan_for_a_key_without_scopes() -> None:
    assert planned(b"describeMe\n").scopes == ()


TIED = Table(
    [
        Operation(id="a", method="GET", template="/x/{id}/logs", needs=(Scope("x", Level.READ),)),
        Operation(id="b", method="GET", template="/x/all/{name}", needs=(Scope("y", Level.WRITE),)),
        Operation(id="c", method="GET", template="/x/{id}/{name}", needs=(Scope("z", Level.READ),)),
    ]
)


@pytest.mark.parametrize(
    ("path", "needs"),
    [("/x/1/logs", "x:read"), ("/x/all/2", "y:write"), ("/x/all/logs", "x:read y:write"), ("/x/1/2", "z:read")],
)
def test_an_ambiguous_path_needs_what_the_table_says(path: str, needs: str) -> None:
    assert words(plan(TIED, [attempt("GET", path)]).scopes) == needs


def test_an_operation_that_can_tie_says_what_else_it_may_need() -> None:
    made = plan(TIED, [Attempt(operation="a")])
    assert words(made.scopes) == "x:read"
    assert [(str(maybe.scope), maybe.when) for maybe in made.maybe] == [
        ("y:write", "it matches GET /x/all/{name} as well")
    ]
    assert words(plan(TIED, [Attempt(operation="a")], cautious=True).scopes) == "x:read y:write"
    assert words(plan(TIED, [Attempt(operation="a+b")]).scopes) == "x:read y:write"


rows = st.lists(st.sampled_from(POLICY.operations), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(rows, restricted_keys)
def test_a_plan_serves_every_call_and_nothing_less_does(chosen: list[Operation], key: Key) -> None:
    attempts = [attempt(row.method, row.template.replace("{", "").replace("}", "")) for row in chosen]
    made = plan(TABLE, attempts)
    routes = [TABLE.find(one.method, one.path) for one in attempts]

    def served(scopes: tuple[Scope, ...]) -> bool:
        lineage = line(_with(key, scopes))
        return all(isinstance(decide(lineage, Access(r, r.needs if r else (), 0)), Allow) for r in routes)

    assert served(made.scopes)
    for scope in made.scopes:
        lower = (*(one for one in made.scopes if one != scope), Scope(scope.resource, Level(scope.level - 1)))
        assert not served(lower)
        assert Grant(lower).within(Grant(made.scopes))


def _with(key: Key, scopes: tuple[Scope, ...]) -> Key:
    return replace(key, scopes=scopes, expires_at_ms=None, suspended_at_ms=None, revoked_at_ms=None)
