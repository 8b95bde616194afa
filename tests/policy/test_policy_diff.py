"""A comparison of policies says what each change does to a restricted key."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from keyscope.model.body import BodyCondition, Json, JsonPath
from keyscope.model.operation import Operation
from keyscope.model.scope import Grant, Level, Scope
from keyscope.policy.diff import Effect, Sort, diff
from keyscope.policy.document import Policy, ResourceType, load, parse

HEAD = """\
policy: shop
title: A shop
key_management: {key_management}
resource_types: {{orders: Orders, staff: People}}
operations:
"""
ORDER = "{id: order, call: 'GET /orders/{id}', needs: [orders:read]}"
CREATE = "{id: create, call: POST /orders, needs: [orders:write], body: [{when: $.a, needs: staff:read}]}"


def shop(*rows: str, key_management: str = "null") -> Policy:
    return parse(HEAD.format(key_management=key_management) + "".join(f"  - {row}\n" for row in rows), "test")


def changes(old: str, new: str) -> list[tuple[Sort, Effect, str]]:
    found = diff(shop(old), shop(*new.split("; "))).changes
    return [(change.sort, change.effect, change.call) for change in found]


def test_equal_policies_have_no_changes() -> None:
    assert diff(load("runloop"), load("runloop")).changes == ()


@pytest.mark.parametrize(
    ("old", "new", "effect"),
    [
        (ORDER, ORDER.replace("orders:read", "orders:write"), Effect.NARROWS),
        (ORDER, ORDER.replace("orders:read", "orders:read, staff:read"), Effect.NARROWS),
        (ORDER, ORDER.replace("orders:read", "staff:read"), Effect.BOTH),
        (ORDER, ORDER.replace("orders:read", ""), Effect.WIDENS),
        (ORDER, ORDER.replace("]}", "], why: another}"), Effect.NONE),
        (ORDER, ORDER.replace("{id}", "{number}"), Effect.NONE),
        (CREATE, CREATE.replace(", body: [{when: $.a, needs: staff:read}]", ""), Effect.WIDENS),
        (CREATE, CREATE.replace("staff:read", "staff:write"), Effect.NARROWS),
        (CREATE, CREATE.replace("$.a", "$.b"), Effect.BOTH),
        (CREATE, CREATE.replace("$.a", "$.a.b"), Effect.WIDENS),  # asks in fewer cases
        (CREATE, CREATE.replace("$.a", "$"), Effect.NARROWS),  # asks in more
        (CREATE, CREATE.replace("[orders:write]", "[orders:write, staff:read]"), Effect.NARROWS),
        (CREATE, CREATE.replace("[orders:write]", "[staff:read]"), Effect.BOTH),
    ],
)
def test_a_changed_row_says_whether_it_widens_or_narrows(old: str, new: str, effect: Effect) -> None:
    assert [(sort, what) for sort, what, _ in changes(old, new)] == [(Sort.CHANGED, effect)]
    reverse = {Effect.WIDENS: Effect.NARROWS, Effect.NARROWS: Effect.WIDENS}
    assert [what for _, what, _ in changes(new, old)] == [reverse.get(effect, effect)]


def test_a_new_row_widens_and_a_row_that_goes_narrows() -> None:
    assert changes(ORDER, f"{ORDER}; {CREATE}") == [(Sort.ADDED, Effect.WIDENS, "create (POST /orders)")]
    gone = diff(shop(ORDER, CREATE), shop(ORDER))
    assert [(change.sort, change.effect) for change in gone.changes] == [(Sort.REMOVED, Effect.NARROWS)]
    assert gone.narrows
    assert not gone.widens


def test_a_new_literal_row_that_asks_more_than_the_one_it_takes_calls_from_narrows() -> None:
    literal = "{id: secret, call: GET /orders/secret, needs: [orders:read, staff:read]}"
    assert changes(ORDER, f"{ORDER}; {literal}") == [(Sort.ADDED, Effect.NARROWS, "secret (GET /orders/secret)")]


def test_a_new_template_takes_the_other_methods_of_its_paths_away() -> None:
    literal = "{id: secret, call: POST /orders/secret, needs: [orders:write]}"
    assert changes(ORDER, f"{ORDER}; {literal}") == [
        (Sort.ADDED, Effect.WIDENS, "secret (POST /orders/secret)"),
        (Sort.MEETING, Effect.NARROWS, "GET /orders/secret"),
    ]


def test_a_new_tie_is_named_where_it_narrows() -> None:
    other = "{id: part, call: 'GET /{kind}/open', needs: [staff:read]}"
    assert changes(ORDER, f"{ORDER}; {other}") == [
        (Sort.ADDED, Effect.WIDENS, "part (GET /{kind}/open)"),
        (Sort.MEETING, Effect.NARROWS, "GET /orders/open"),
    ]


def test_losing_the_row_of_the_clients_create_path_is_seen_to_widen() -> None:
    # Without its literal row the call is taken for updateDevbox, whose row judges no body.
    runloop = load("runloop")
    rows = tuple(row for row in runloop.operations if row.id != "createDevboxAndAwaitRunning")
    found = diff(runloop, replace(runloop, operations=rows))
    assert found.widens
    assert found.changes[0].sort is Sort.REMOVED
    assert found.changes[0].after == ("devboxes:write",)


@pytest.mark.parametrize(
    ("old", "new", "effect"),
    [("null", "staff", Effect.WIDENS), ("staff", "null", Effect.NARROWS), ("staff", "orders", Effect.BOTH)],
)
def test_another_type_that_governs_keys_is_a_change(old: str, new: str, effect: Effect) -> None:
    (change,) = diff(shop(ORDER, key_management=old), shop(ORDER, key_management=new)).changes
    assert (change.sort, change.effect, change.call) == (Sort.POLICY, effect, "key_management")


def test_resource_types_that_come_and_go_are_named() -> None:
    old = shop(ORDER)
    new = replace(old, resource_types=(ResourceType("orders", ""), ResourceType("stock", "")))
    assert [(c.call, c.before, c.after) for c in diff(old, new).changes] == [
        ("resource type staff", ("staff",), None),
        ("resource type stock", None, ("stock",)),
    ]


def test_a_comparison_reads_as_text_and_as_json() -> None:
    found = diff(shop(ORDER), shop(ORDER.replace("orders:read", ""), CREATE))
    assert str(found).splitlines() == [
        "added, widens: create (POST /orders): refused -> orders:write, staff:read if $.a",
        "changed, widens: order (GET /orders/{id}) (needs): orders:read -> any live key",
        "shop -> shop: 2 changes, 2 widen, 0 narrow",
    ]
    assert msgspec.to_builtins(found)["changes"][1]["effect"] == "widens"


SCOPES = st.sampled_from([Scope(name, level) for name in ("a", "b") for level in (Level.READ, Level.WRITE)])
PATHS = st.sampled_from(["$", "$.x", "$.x.y", "$.z"])
CONDITIONS = st.builds(BodyCondition, PATHS.map(JsonPath.parse), SCOPES)
BODIES: tuple[Json, ...] = ({}, {"x": 1}, {"x": {"y": 1}}, {"z": 1}, {"x": {}, "z": 1}, None)
GRANTS = [Grant([Scope("a", one), Scope("b", two)]) for one in Level for two in Level]


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    calls = draw(st.lists(st.sampled_from(["/p", "/{v}", "/p/q", "/p/{v}", "/{v}/q"]), unique=True))
    rows = [
        Operation(
            id=call,
            method="POST",
            template=call,
            needs=tuple(draw(st.lists(SCOPES, max_size=2))),
            body=tuple(draw(st.lists(CONDITIONS, max_size=2))),
        )
        for call in calls
    ]
    return Policy(name="p", title="p", key_management=None, resource_types=(), operations=tuple(rows))


def allowed(policy: Policy) -> set[tuple[str, int, int]]:
    """Every (path, body, grant) that a restricted key may call, tried one by one."""
    table = policy.table()
    routes = {path: table.find("POST", path) for path in ("/p", "/v", "/p/q", "/p/v", "/v/q", "/v/v")}
    return {
        (path, index, number)
        for path, route in routes.items()
        for index, body in enumerate(BODIES)
        for number, grant in enumerate(GRANTS)
        if route is not None and not grant.missing(route.needs_with(body))
    }


@settings(deadline=None, max_examples=300)
@given(policies(), policies())
def test_whatever_a_key_gains_or_loses_is_announced(old: Policy, new: Policy) -> None:
    found = diff(old, new)
    before, after = allowed(old), allowed(new)
    assert found.widens or after <= before
    assert found.narrows or before <= after
