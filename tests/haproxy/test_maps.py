"""The maps that HAProxy judges by say what the table and the keys say, or nothing."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyscope.errors import BadTarget, ConfigurationError
from keyscope.gate.haproxy.bits import MOST_CALLS, MOST_TYPES, Bits
from keyscope.gate.haproxy.entries import ACCOUNT_ID, ENDS, KEY_ID, LATEST_MS, NAME, is_judged_alone, line, name_of
from keyscope.gate.haproxy.files import bits_of
from keyscope.gate.haproxy.names import ASKED, SEPARATOR, TO_DELETE, UNUSUAL
from keyscope.gate.haproxy.routes import SHORT, pattern, rows
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
NEEDS = {row.call: BITS.everything & row.needs for row in ROWS.values()}
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


def looked_up(target: str, method: str) -> str:
    """As the configuration has it. A group that is not there is nothing to HAProxy."""
    return f"{PATTERN.sub(SHORT, target)}:{method}"


def cut(expression: str, line: str) -> str:
    """What HAProxy cuts out of a line."""
    found = re.match(r"bytes\((\d+)(?:,(\d+))?\)", expression)
    assert found is not None
    start, length = int(found[1]), int(found[2] or len(line))
    return line[start : start + length]


@given(paths, st.sampled_from(sorted(METHODS)))
def test_a_call_that_has_a_row_needs_what_the_table_says(path: str, method: str) -> None:
    row = ROWS.get(looked_up(path, method))
    if row is None:
        return
    assert canonical_path(path.encode()) == path
    assert not is_own(path)
    route = TABLE.find(matched_method(method), path)
    assert route is not None
    assert (NEEDS[row.call], row.operation, route.conditions) == (BITS.of(route.needs_for_all), route.id, ())
    assert (row.scopes, row.hides) == (route.needs, route.needs_for_all != route.needs)


def test_who_would_get_a_credential_by_reading_alone_is_not_let_through_by_haproxy() -> None:
    grant = Grant([Scope.parse("devboxes:read")])
    for call in ("/v1/devboxes:GET", "/v1/devboxes/*:GET"):
        assert ROWS[call].hides
        assert BITS.of_grant(grant) & ROWS[call].needs != ROWS[call].needs
        assert BITS.of_grant(Grant([Scope.parse("devboxes:write")])) & ROWS[call].needs == ROWS[call].needs


QUERIES = st.text(st.sampled_from('?/*=&%:#a1.;~!"$ \x7fé'), max_size=8)


@given(paths, QUERIES, st.sampled_from(sorted(METHODS)))
def test_a_call_with_a_query_needs_what_it_needs_without(path: str, query: str, method: str) -> None:
    row = ROWS.get(looked_up(f"{path}?{query}", method))
    without = ROWS.get(looked_up(path, method))
    if without is None or not re.fullmatch(r'[!"$-~]*', query):
        assert row is None
    else:
        assert row is not None
        assert (row.needs, row.operation) == (without.needs, without.operation)


def test_each_call_has_a_number_of_its_own() -> None:
    calls = {(row.operation, row.call.removesuffix(":HEAD").removesuffix(":GET")) for row in ROWS.values()}
    assert len({row.needs for row in ROWS.values()}) * 2 == len(calls)
    assert all(row.needs > BITS.everything for row in ROWS.values())


def test_every_call_has_a_row_whose_body_does_not_count_and_that_neither_lasts_nor_ends_what_keys_are_bound_to() -> (
    None
):
    for operation in TABLE:
        path = "/" + "/".join("x1" if part == PARAMETER else part for part in operation.segments)
        route = TABLE.find(operation.method, path)
        assert route is not None
        lasts = any(operation.transport != "json" for operation in route.operations)
        ends = any(operation.sign is not None and operation.sign.at is None for operation in route.operations)
        judged = not (is_own(path) or route.conditions or lasts or ends)
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
    missing = BITS.needs(needs, MOST_CALLS) & ~BITS.of_grant(grant)
    assert (not missing) == (not grant.missing(needs))


def test_a_policy_with_too_many_types_or_calls_is_refused() -> None:
    bits = Bits(f"type{number}" for number in range(MOST_TYPES))
    assert bits.needs([Scope("type0", Level.WRITE)], MOST_CALLS) < 1 << 63
    with pytest.raises(ConfigurationError):
        Bits(f"type{number}" for number in range(MOST_TYPES + 1))
    with pytest.raises(ConfigurationError):
        bits.needs([], MOST_CALLS + 1)


def key_id(number: int) -> str:
    return f"key_{number:022}"


def test_a_line_has_the_meet_and_the_earliest_end_of_all_ancestors() -> None:
    root = Lineage(a_key(key_id(1)))
    scopes = "devboxes:read account:write"
    above = Lineage(a_key(key_id(2), key_id(1), scopes=scopes, expires_at_ms=500), root)
    below = Lineage(a_key(key_id(3), key_id(2), scopes="devboxes:write objects:read", expires_at_ms=900), above)
    text = line(name_of(below.key.digest), below, BITS)
    digits = re.match(r"\d+", text)
    assert digits is not None
    assert int(digits[0]) & BITS.everything == BITS.of([Scope.parse("devboxes:read")])
    assert [cut(part, text) for part in (NAME, KEY_ID, ACCOUNT_ID)] == [
        name_of(below.key.digest),
        below.key.id,
        below.key.account_id,
    ]
    assert int(cut(ENDS, text)) == 500
    text = line(name_of(root.key.digest), root, BITS)
    assert text.startswith(str(BITS.of_grant(None)))
    assert int(cut(ENDS, text)) == LATEST_MS
    assert (is_judged_alone(below, 499), is_judged_alone(below, 500)) == (True, False)


def test_a_line_of_everything_has_room() -> None:
    most = Bits(f"type{number}" for number in range(MOST_TYPES))
    text = line(name_of(b"\xff" * 32), Lineage(a_key(key_id(1))), most)
    assert cut(KEY_ID, text) == key_id(1)
    assert text[len(str(most.of_grant(None)))] == ";"


def test_a_key_whose_id_has_another_length_is_asked_about() -> None:
    assert not is_judged_alone(Lineage(a_key("key_1")), 1)


def test_a_key_below_a_stopped_one_is_not_alive() -> None:
    above = Lineage(a_key(key_id(2), key_id(1), suspended_at_ms=5), Lineage(a_key(key_id(1))))
    assert not is_judged_alone(Lineage(a_key(key_id(3), key_id(2)), above), 1)


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
    deleted = {name for name in names if re.search(UNUSUAL, text) and re.search(TO_DELETE, name)}
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
    assert all(re.search(ASKED, names) and re.search(UNUSUAL, names) for names in asked)
    assert not any(re.search(ASKED, names) for names in ["host", "a;host;authorization", "host;xte;upgrade-insecure"])
