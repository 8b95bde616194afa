"""A policy is read whole, or refused with every fault named by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyscope.errors import ConfigurationError, Fault
from keyscope.model.scope import Level, Scope
from keyscope.policy.document import MAX_BYTES, Policy, builtin_names, load, parse

SMALL = """\
policy: shop
title: A shop
key_management: staff
resource_types:
  orders: Orders and their lines
  staff: People and keys
operations:
  - id: listOrders
    call: GET /orders
    needs: [orders:read]
    why: lists orders
  - id: createOrder
    call: POST /orders
    needs: [orders:write]
    body:
      - {when: $.approver, needs: staff:read, why: names a person}
    creates: {orders: $.id}
    credentials: [$.tracking.token]
    transport: longpoll
    deprecated: true
    undocumented: true
  - id: health
    call: GET /health
    needs: []
"""


def faults_of(text: str) -> tuple[Fault, ...]:
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "test")
    return caught.value.faults


def edited(old: str, new: str) -> str:
    assert SMALL.count(old) == 1, old
    return SMALL.replace(old, new)


def test_every_member_of_a_row_is_read() -> None:
    policy = parse(SMALL, "test")
    listing, creation, health = policy.operations
    assert (policy.name, policy.title, policy.key_management) == ("shop", "A shop", "staff")
    assert policy.resource_names == ("orders", "staff")
    assert (listing.call, listing.needs, listing.why) == ("GET /orders", (Scope("orders", Level.READ),), "lists orders")
    assert [(str(c.when), str(c.needs), c.why) for c in creation.body] == [
        ("$.approver", "staff:read", "names a person")
    ]
    assert creation.creates is not None
    assert (creation.creates[0], str(creation.creates[1])) == ("orders", "$.id")
    assert [str(path) for path in creation.credentials] == ["$.tracking.token"]
    assert (creation.transport, creation.deprecated, listing.deprecated) == ("longpoll", True, False)
    assert policy.undocumented == {"createOrder"}
    assert health.needs == ()


def test_key_management_may_be_null_or_absent() -> None:
    assert parse(edited("key_management: staff", "key_management: null"), "test").key_management is None
    assert parse(edited("key_management: staff\n", ""), "test").key_management is None


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(SMALL)
    assert load(str(file)) == parse(SMALL, "test")


def test_the_built_in_policies_are_named_and_read() -> None:
    assert builtin_names() == ("github-issues", "runloop")
    assert all(isinstance(load(name), Policy) for name in builtin_names())


# What is wrong, what replaces what in SMALL, where the fault is said to be, and what its sentence must say.
FAULTS = [
    ("unknown member", "title: A shop", "titel: A shop", "line 2, titel", "did you mean 'title'?"),
    ("missing member", "title: A shop\n", "", "line 1", "'title' is missing"),
    ("member twice", "title: A shop", "title: A\ntitle: B", "line 3, title", "stands twice"),
    ("member of a row twice", "why: lists orders", "why: a\n    why: b", "line 12, listOrders.why", "stands twice"),
    ("unknown member of a row", "    why: lists orders", "    whi: x", "line 11, listOrders.whi", "mean 'why'?"),
    ("a merged mapping", "    why: lists orders", "    <<: {a: b}", "line 11, listOrders.<<", "quote '<<'"),
    ("name that is no text", "  orders: Orders and", "  yes: Orders and", "line 5, resource_types.yes", "quote 'yes'"),
    ("title that is no text", "title: A shop", "title: [a]", "line 2, title", "should be text, not a list"),
    ("title that is a number", "title: A shop", "title: 12", "line 2, title", "Put it in quotes"),
    ("title that is empty", "title: A shop", "title: ''", "line 2, title", "is empty"),
    ("types that are a list", "  orders: Orders and their lines\n  staff: People and keys\n", "  - orders\n",
     "line 5, resource_types", "should be a mapping, not a list"),
    ("type with a bad name", "  orders: Orders and", "  Orders-x: Orders and", "line 5, resource_types.Orders-x",
     "is not a resource type"),
    ("type with the placeholder's name", "  staff: People", "  keys: x\n  staff: People", "line 6, resource_types.keys",
     "choose another"),
    ("unknown key_management", "key_management: staff", "key_management: stuff", "line 3, key_management",
     "did you mean 'staff'?"),
    ("missing id", "  - id: health\n    call", "  - call", "line 22, operations[2]", "'id' is missing"),
    ("bad id", "id: health", "id: 'is it well?'", "line 22, is it well?.id", "is not an id"),
    ("an id twice", "id: health", "id: listOrders", "line 22, operations[2]", "has the id of listOrders (GET /orders)"),
    ("missing call", "    call: GET /health\n", "", "line 22, operations[2]", "'call' is missing"),
    ("call without method", "call: GET /health", "call: /health", "line 23, health.call", "is not a call"),
    ("unknown method", "GET /health", "BREW /health", "line 23, health.call", "'BREW' is not a method: use one of"),
    ("method in lower case", "GET /health", "get /health", "line 23, health.call", "did you mean 'GET'?"),
    ("template without slash", "GET /health", "GET health", "line 23, health.call", "it starts with /"),
    ("template with a half parameter", "GET /health", "GET /h/{id}.json", "line 23, health.call", "one whole {"),
    ("template with a dot segment", "GET /health", "GET /h/../x", "line 23, health.call", "segment '..' never occurs"),
    ("template with an empty segment", "GET /health", "GET /h/", "line 23, health.call", "segment '' never occurs"),
    ("template with a query", "GET /health", "GET /h?x=1", "line 23, health.call", "'h?x=1' is neither"),
    ("template with an escape", "GET /health", "GET /h%2Fx", "line 23, health.call", "'h%2Fx' is neither"),
    ("parameter twice", "GET /health", "GET /{id}/x/{id}", "line 23, health.call", "stands in it twice"),
    ("a call twice", "GET /health", "GET /orders", "line 22, operations[2]", "has the call of listOrders"),
    ("missing needs", "    needs: []\n", "", "line 22, operations[2]", "'needs' is missing"),
    ("needs that is text", "needs: []", "needs: orders:read", "line 24, health.needs", "should be a list, not text"),
    ("needs that is empty", "needs: []", "needs:", "line 24, health.needs", "should be a list, not empty"),
    ("unknown level", "needs: []", "needs: [orders:raed]", "line 24, health.needs[0]", "is not a scope"),
    ("level none", "needs: []", "needs: [orders:none]", "line 24, health.needs[0]", "asks for nothing"),
    ("unknown type", "needs: []", "needs: [order:read]", "line 24, health.needs[0]", "did you mean 'orders'?"),
    ("bad type", "needs: []", "needs: ['Or ders:read']", "line 24, health.needs[0]", "is not a resource type"),
    ("a type twice", "needs: []", "needs: [orders:read, orders:write]", "line 24, health.needs", "is needed twice"),
    ("bad body path", "when: $.approver", "when: approver", "line 16, createOrder.body[0].when", "it starts with $"),
    ("bad step in a path", "when: $.approver", "when: $..x", "line 16, createOrder.body[0].when", "is none of .member"),
    ("body without when", "when: $.approver, ", "", "line 16, createOrder.body[0]", "'when' is missing"),
    ("body with unknown scope", "needs: staff:read", "needs: stuff:read", "line 16, createOrder.body[0].needs",
     "did you mean 'staff'?"),
    ("body with unknown member", "why: names a person", "wy: x", "line 16, createOrder.body[0].wy", "mean 'why'?"),
    ("creates of unknown type", "{orders: $.id}", "{order: $.id}", "line 17, createOrder.creates.order", "'orders'?"),
    ("creates of two", "{orders: $.id}", "{orders: $.id, staff: $.x}", "line 17, createOrder.creates", "one resource"),
    ("creates with a bad path", "{orders: $.id}", "{orders: id}", "line 17, createOrder.creates.orders", "starts with"),
    ("destroys of unknown type", "transport: longpoll", "destroys: oders", "line 19, createOrder.destroys", "orders"),
    ("bad credential path", "[$.tracking.token]", "[tracking]", "line 18, createOrder.credentials[0]", "starts with $"),
    ("unknown transport", "longpoll", "longpol", "line 19, createOrder.transport", "did you mean 'longpoll'?"),
    ("deprecated that is text", "deprecated: true", "deprecated: 'true'", "line 20, createOrder.deprecated",
     "should be true or false"),
    ("an operation that is text", "  - id: health\n    call: GET /health\n    needs: []\n", "  - health\n",
     "line 22, operations[2]", "should be a mapping, not text"),
    ("a tag that makes objects", "title: A shop", "title: !!python/object/apply:os.getcwd []", "line 2, title",
     "should be text, not"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "path", "says"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_fault_is_named_with_its_line_and_remedy(old: str, new: str, path: str, says: str) -> None:
    found = faults_of(edited(old, new))
    assert path in [fault.path for fault in found if says in fault.message], found


# A type that is not there is also missed by the rows that speak of it.
CONSEQUENCES = {"unknown member", "name that is no text", "types that are a list", "type with a bad name"}


@pytest.mark.parametrize("row", [row[1:3] for row in FAULTS if row[0] not in CONSEQUENCES], ids=str)
def test_one_fault_is_said_once(row: tuple[str, str]) -> None:
    found = faults_of(edited(*row))
    assert len(found) == 1, found


def test_all_faults_are_named_at_once() -> None:
    text = SMALL.replace("title: A shop", "title: 1").replace("GET /health", "BREW /health").replace("$.id", "id")
    assert [fault.path.partition(",")[0] for fault in faults_of(text)] == ["line 17", "line 23", "line 2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "This is not usable YAML"),
        ("a: b\n\tc: d", "This is not usable YAML"),
        ("", "empty"),
        ("# only a comment\n", "empty"),
        ("a: \x00", "This is not usable YAML"),
        ("--- {a: 1}\n--- {b: 2}\n", "This is not usable YAML"),
        ("- a\n- b\n", "should be a mapping, not a list"),
        ("just words", "should be a mapping, not text"),
    ],
    ids=["cut off", "a tab", "empty", "comment only", "a NUL", "two documents", "a list", "words"],
)
def test_what_is_no_policy_at_all_is_refused(text: str, says: str) -> None:
    (fault,) = faults_of(text)
    assert fault.path.startswith("line ")
    assert says in fault.message


def test_no_operations_and_no_resource_types_are_faults() -> None:
    text = "policy: a\ntitle: A\nresource_types: {}\noperations: []\n"
    assert [fault.path for fault in faults_of(text)] == ["line 3, resource_types", "line 4, operations"]


def test_deep_nesting_is_refused_and_not_followed() -> None:
    (fault,) = faults_of("a: " + "[" * 100_000)
    assert "nested more than 100 deep" in fault.message


def test_an_unknown_name_suggests_the_nearest_built_in_policy() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load("runlop")
    assert caught.value.faults == (
        Fault("runlop", "The policy 'runlop' cannot be read, no such file or directory: did you mean 'runloop'?"),
    )


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(str(tmp_path))
    assert "is a directory." in caught.value.faults[0].message


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "latin.yaml"
    file.write_bytes(b"title: caf\xe9\n")
    with pytest.raises(ConfigurationError) as caught:
        load(str(file))
    assert "not UTF-8, from byte 10 on" in caught.value.faults[0].message


def test_a_file_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigurationError) as caught:
        load(str(file))
    assert "more than 4000000 bytes" in caught.value.faults[0].message
