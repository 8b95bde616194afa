"""The table's look-up equals a plain reading of the rule: match every template, drop what a more literal one beats."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from keyscope.model.body import BodyCondition, JsonPath
from keyscope.model.operation import Operation, Table
from keyscope.model.scope import Grant, Scope
from keyscope.policy.document import load
from keyscope.policy.own import with_own_operations

SEGMENT = st.sampled_from(["a", "b", "c", "{x}"])
TEMPLATE = st.lists(SEGMENT, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))
METHOD = st.sampled_from(["GET", "POST"])
PATH = st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))

RUNLOOP = with_own_operations(load("runloop")).operations
WORDS = sorted({part for row in RUNLOOP for part in row.template.split("/") if part and "{" not in part} | {"dbx_1"})


def literals(template: str) -> dict[int, str]:
    return {place: part for place, part in enumerate(template.split("/")) if not part.startswith("{")}


def beats(one: str, other: str) -> bool:
    return literals(other).items() < literals(one).items()


def plainly(operations: Sequence[Operation], method: str, path: str) -> set[str]:
    """The ids of the operations that a call needs, by the rule as it is written."""
    matching = [o for o in operations if re.fullmatch(re.sub(r"\{[^/]*\}", "[^/]+", o.template), path)]
    best = [o for o in matching if not any(beats(other.template, o.template) for other in matching)]
    return {o.id for o in best if o.method == method}


def by_table(operations: Sequence[Operation], method: str, path: str) -> set[str]:
    route = Table(operations).find(method, path)
    return {operation.id for operation in route.operations} if route else set()


@settings(deadline=None)
@given(st.lists(st.tuples(METHOD, TEMPLATE), unique=True, max_size=12), METHOD, PATH)
def test_the_table_equals_the_plain_rule(calls: list[tuple[str, str]], method: str, path: str) -> None:
    operations = [Operation(id=f"{m} {t}", method=m, template=t, needs=()) for m, t in calls]
    assert by_table(operations, method, path) == plainly(operations, method, path)


@st.composite
def near_calls(draw: st.DrawFn) -> tuple[str, str]:
    """A call near to one of Runloop's: each parameter a word of some template, and now and then a word replaced."""
    row = draw(st.sampled_from(RUNLOOP))
    word = st.sampled_from(WORDS)
    parts = [draw(word) if part.startswith("{") else part for part in row.template.split("/")[1:]]
    if draw(st.booleans()):
        parts[draw(st.integers(0, len(parts) - 1))] = draw(word)
    return draw(st.sampled_from(["GET", "POST", "DELETE"])), "/" + "/".join(parts)


TABLE = Table(RUNLOOP)


@settings(deadline=None)
@given(near_calls())
def test_the_table_equals_the_plain_rule_on_runloops_paths(call: tuple[str, str]) -> None:
    route = TABLE.find(*call)
    found = {operation.id for operation in route.operations} if route else set()
    assert found == plainly(RUNLOOP, *call)


@settings(deadline=None)
@given(near_calls())
def test_a_tie_needs_the_scopes_of_every_operation_in_it(call: tuple[str, str]) -> None:
    route = TABLE.find(*call)
    if route is not None:
        missing = {scope for row in route.operations for scope in Grant(route.needs).missing(row.needs)}
        assert missing == set()


def test_a_tie_judges_the_body_by_the_conditions_of_every_operation_in_it() -> None:
    one, other = (BodyCondition(JsonPath.parse(path), Scope.parse("a:read")) for path in ("$.x", "$.y"))
    rows = [
        Operation(id="one", method="POST", template="/a/{x}", needs=(), body=(one,)),
        Operation(id="other", method="POST", template="/{y}/b", needs=(), body=(other,)),
    ]
    route = Table(rows).find("POST", "/a/b")
    assert route is not None
    assert set(route.conditions) == {one, other}
