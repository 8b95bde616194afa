"""OpenAPI documents: read just far enough, and turned into a policy where they say which scopes are needed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from keyscope.errors import ConfigurationError, Fault
from keyscope.policy import openapi
from keyscope.policy.annotated import policy_from_openapi
from keyscope.policy.check import check
from keyscope.policy.document import Policy

ANNOTATED = """\
openapi: 3.1.0
info: {title: "A Shop: v2"}
x-resource-types: {orders: Orders, staff: People}
x-key-management: staff
paths:
  /orders:
    summary: about orders
    parameters: []
    get: {operationId: listOrders, summary: lists orders, x-required-scopes: [orders:read]}
    post: {x-required-scopes: [orders:write, staff:read], deprecated: true}
  /health:
    $ref: '#/components/pathItems/health'
components:
  pathItems:
    health: {get: {operationId: health, x-required-scopes: []}}
"""


def policy(text: str) -> Policy:
    return policy_from_openapi(openapi.parse(text, "document"))


def faults(text: str) -> tuple[Fault, ...]:
    with pytest.raises(ConfigurationError) as caught:
        policy(text)
    return caught.value.faults


def test_an_annotated_document_makes_a_policy() -> None:
    made = policy(ANNOTATED)
    assert (made.name, made.title, made.key_management) == ("a-shop-v2", "A Shop: v2", "staff")
    assert [(o.id, o.call, " ".join(map(str, o.needs)), o.why, o.deprecated) for o in made.operations] == [
        ("listOrders", "GET /orders", "orders:read", "lists orders", False),
        ("POST/orders", "POST /orders", "orders:write staff:read", "", True),
        ("health", "GET /health", "", "", False),
    ]
    assert check(made, openapi.parse(ANNOTATED, "document")).findings == ()


def test_resource_types_are_those_of_the_scopes_where_the_document_names_none() -> None:
    text = ANNOTATED.replace("x-resource-types: {orders: Orders, staff: People}\nx-key-management: staff\n", "")
    made = policy(text)
    assert made.resource_names == ("orders", "staff")
    assert made.key_management is None


@pytest.mark.parametrize(
    ("old", "new", "place", "says"),
    [
        (", x-required-scopes: [orders:read]", "", "GET /orders", "x-required-scopes is missing"),
        ("[orders:read]", "[orders:raed]", "GET /orders, x-required-scopes", "is not a scope"),
        ("[orders:read]", "[orders:none]", "GET /orders, x-required-scopes", "asks for nothing"),
        ("[orders:read]", "[odrers:read]", "GET /orders, x-required-scopes", "did you mean 'orders'?"),
        ("[orders:read]", "orders:read", "GET /orders, x-required-scopes", "should be a list of scopes"),
        ("    post:", "    trace:", "TRACE /orders", "does not know the method TRACE"),
        ("  /health:", "  /h/{id}.json:", "GET /h/{id}.json", "one whole {parameter}"),
        ("  /health:", "  /orders/:", "GET /orders/", "segment '' never occurs"),
        ("operationId: health", "operationId: listOrders", "GET /health", "has the operationId 'listOrders' too"),
        ("x-key-management: staff", "x-key-management: stuff", "x-key-management", "did you mean 'staff'?"),
        ("{orders: Orders, staff: People}", "[orders]", "x-resource-types", "should be a mapping"),
        ("staff: People", "staff: People, X!: y", "x-resource-types.X!", "is not a resource type"),
    ],
)
def test_a_fault_in_an_annotation_is_named(old: str, new: str, place: str, says: str) -> None:
    assert ANNOTATED.count(old) == 1
    found = faults(ANNOTATED.replace(old, new))
    assert place in [fault.path for fault in found if says in fault.message], found


def test_all_faults_of_the_annotations_are_named_at_once() -> None:
    text = ANNOTATED.replace("[orders:read]", "[order:read]").replace(", x-required-scopes: []", "")
    assert [fault.path for fault in faults(text)] == ["GET /health", "GET /orders, x-required-scopes"]


def test_two_templates_of_one_shape_are_a_fault() -> None:
    text = ANNOTATED.replace("  /health:", "  /o/{a}: {get: {x-required-scopes: []}}\n  /o/{b}:")
    assert [fault.path for fault in faults(text)] == ["GET /o/{b}"]


def test_a_document_without_operations_makes_no_policy() -> None:
    assert faults("openapi: 3.1.0\ninfo: {title: x}\n") == (Fault("paths", "The document has no operations."),)


def test_json_is_read_as_well_as_yaml(tmp_path: Path) -> None:
    file = tmp_path / "api.json"
    file.write_text(json.dumps({"openapi": "3.0.0", "paths": {"/a": {"get": {"operationId": "a"}}}}))
    assert [(call.operation_id, call.call) for call in openapi.read(str(file)).calls] == [("a", "GET /a")]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("swagger: '2.0'\npaths: {}\n", "not an OpenAPI 3 document"),
        ("[]", "not an OpenAPI 3 document"),
        ("", "not an OpenAPI 3 document"),
        ("openapi: 3.0.0\npaths: []\n", "should be a mapping from paths"),
        ("openapi: 3.0.0\npaths: {/a: []}\n", "a path with a mapping"),
        ("openapi: 3.0.0\npaths:\n  /a: {get: {}}\n  /a: {post: {}}\n", "the key '/a' stands twice"),
        ('{"openapi": "3.0.0", "paths": {"/a": {}, "/a": {}}}', "the member '/a' stands twice"),
        ('{"openapi": "3.0.0", ', "cannot be read"),
        ("openapi: [", "cannot be read"),
        ("x: " + "[" * 100_000, "nested more than 100 deep"),
        ('{"x": ' + "[" * 200_000, "cannot be read"),
        ("openapi: !!python/name:os.system x", "cannot be read"),
    ],
)
def test_what_is_no_usable_document_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        openapi.parse(text, "document")
    assert says in caught.value.faults[0].message


def test_a_missing_document_is_a_fault_that_names_it() -> None:
    with pytest.raises(ConfigurationError) as caught:
        openapi.read("nowhere.yaml")
    assert caught.value.faults == (
        Fault("nowhere.yaml", "The OpenAPI document 'nowhere.yaml' cannot be read, no such file or directory."),
    )


def test_references_that_lead_nowhere_or_in_circles_are_followed_to_an_end() -> None:
    document = {"a": {"$ref": "#/b"}, "b": {"$ref": "#/a"}, "c~d": {"e/f": {"here": 1}}}
    assert openapi.follow(document, {"$ref": "#/a"}) == {}
    assert openapi.follow(document, {"$ref": "#/nowhere/at/all"}) == {}
    assert openapi.follow(document, {"$ref": "other.yaml#/a"}) == {}
    assert openapi.follow(document, {"$ref": "#/c~0d/e~1f"}) == {"here": 1}
