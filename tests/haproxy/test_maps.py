"""The maps that HAProxy judges by say what the table and the keys say, or nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyscope.errors import BadTarget, ConfigurationError
from keyscope.gate.haproxy.bits import MOST_TYPES, Bits
from keyscope.gate.haproxy.entries import LATEST_MS, is_judged_alone, line
from keyscope.gate.haproxy.files import bits_of
from keyscope.gate.haproxy.names import ANY_TO_DELETE, ASKED, SEPARATOR, TO_DELETE
from keyscope.gate.haproxy.routes import pattern, rows
from keyscope.gate.headers import inward
from keyscope.model.key import Lineage
from keyscope.model.operation import PARAMETER
from keyscope.model.scope import Grant, Level, Scope
from keyscope.policy.document import load
from keyscope.policy.own import with_own_operations
from keyscope.wire.own import is_own
from keyscope.wire.target import METHODS, canonical_path, matched_method
from tests.store.samples import a_key

TABLE = with_own_operations(load("runloop")).table()
BITS = bits_of(TABLE)
PATTERN = re.compile(pattern(TABLE))
ROWS = {row.call: row for row in rows(TABLE, BITS)}
WORDS = sorted({part for operation in TABLE for part in operation.segments if part != PARAMETER})
TYPES = sorted({scope.resource for operation in TABLE for scope in operation.needs})

segments = st.one_of(
    st.sampled_from(WORDS),
    st.text("abcdefghijABC019_-~.!*+=:@&", min_size=1, max_size=8),
    st.sampled_from(["", ".", "..", "%2e", "%2F", "a;b", "a%20b", "dbx_1.json", ".x", "{id}", "*", "a'b", "é"]),
)
real = st.sampled_from([operation.segments for operation in TABLE]).flatmap(
    lambda parts: st.tuples(*(segments if part == PARAMETER else st.just(part) for part in parts))
)
paths = st.one_of(st.lists(segments, min_size=1, max_size=6), real).map(lambda parts: "/" + "/".join(parts))
grants = st.dictionaries(st.sampled_from(TYPES), st.sampled_from(Level)).map(
    lambda levels: Grant(Scope(resource, level) for resource, level in levels.items())
)


def looked_up(path: str, method: str) -> str:
    """As the configuration has it."""
    return f"{PATTERN.sub('/*', path)}:{method}"


@given(paths, st.sampled_from(sorted(METHODS)))
def test_a_call_that_has_a_row_needs_what_the_table_says(path: str, method: str) -> None:
    row = ROWS.get(looked_up(path, method))
    if row is None:
        return
    assert canonical_path(path.encode()) == path
    assert not is_own(path)
    route = TABLE.find(matched_method(method), path)
    assert route is not None
    assert (row.needs, row.operation, route.conditions) == (BITS.of(route.needs), route.id, ())
    assert row.scopes == tuple(map(str, route.needs))


def test_every_call_whose_body_does_not_count_and_that_does_not_last_has_a_row() -> None:
    for operation in TABLE:
        path = "/" + "/".join("x1" if part == PARAMETER else part for part in operation.segments)
        route = TABLE.find(operation.method, path)
        assert route is not None
        lasts = any(operation.transport != "json" for operation in route.operations)
        judged = not (is_own(path) or route.conditions or lasts)
        assert (looked_up(path, operation.method) in ROWS) is judged, path


@pytest.mark.parametrize(
    "path", ["/v1//devboxes", "/v1/./devboxes", "/v1/devboxes/..", "/v1/devboxes/", "/v1/devboxes/%41"]
)
def test_a_path_that_is_not_canonical_has_no_row(path: str) -> None:
    with pytest.raises(BadTarget):
        canonical_path(path.encode())
    assert not any(looked_up(path, method) in ROWS for method in METHODS)


@given(grants, st.sampled_from(list(TABLE)))
def test_bits_say_what_grants_say(grant: Grant, operation: object) -> None:
    needs = operation.needs  # type: ignore[attr-defined]
    missing = BITS.of(needs) & ~BITS.of_grant(grant)
    assert (not missing) == (not grant.missing(needs))


def test_a_policy_with_too_many_types_is_refused() -> None:
    Bits(f"type{number}" for number in range(MOST_TYPES))
    with pytest.raises(ConfigurationError):
        Bits(f"type{number}" for number in range(MOST_TYPES + 1))


def test_a_line_has_the_meet_and_the_earliest_end_of_all_ancestors() -> None:
    root = Lineage(a_key("key_1"))
    above = Lineage(a_key("key_2", "key_1", scopes="devboxes:read account:write", expires_at_ms=500), root)
    below = Lineage(a_key("key_3", "key_2", scopes="devboxes:write objects:read", expires_at_ms=900), above)
    bits, ends, key_id, account = line(below, BITS).split(";")
    assert int(bits) == BITS.of([Scope.parse("devboxes:read")])
    assert (ends, key_id, account) == ("500", "key_3", "acct_1")
    assert line(root, BITS).split(";")[:2] == [str(BITS.everything), str(LATEST_MS)]
    assert (is_judged_alone(below, 499), is_judged_alone(below, 500)) == (True, False)


def test_a_key_below_a_stopped_one_is_not_alive() -> None:
    above = Lineage(a_key("key_2", "key_1", suspended_at_ms=5), Lineage(a_key("key_1")))
    assert not is_judged_alone(Lineage(a_key("key_3", "key_2"), above), 1)


NAMES = st.lists(
    st.one_of(
        st.sampled_from(
            ["host", "authorization", "accept", "cookie", "x-forwarded-for", "connection", "te", "via", "x_y"]
        ),
        st.from_regex(r"[a-z][a-z0-9_-]{0,10}", fullmatch=True),
    ),
    max_size=6,
)


@given(NAMES)
def test_fields_are_deleted_as_the_built_in_gate_leaves_them_out(names: list[str]) -> None:
    text = SEPARATOR.join(["host", *names])
    if re.search(ASKED, text):
        return
    fields = [(name.encode(), b"x") for name in names if name not in ("host", "authorization")]
    goes_on = {name for name, value in inward(fields, a_key("key_1"), None) if value == "x"}
    deleted = {name for name in names if re.search(ANY_TO_DELETE, text) and re.search(TO_DELETE, name)}
    assert set(names) - deleted - {"host", "authorization"} == goes_on


def test_a_request_without_a_host_or_with_a_doubtful_field_is_asked_about() -> None:
    asked = [
        "",
        "accept",
        "host;te",
        "host;host",
        "host;a;host;b",
        "host;authorization;x;authorization",
        "host;upgrade",
    ]
    assert all(re.search(ASKED, names) for names in asked)
    assert not any(re.search(ASKED, names) for names in ["host", "a;host;authorization", "host;xte;upgrade-insecure"])
