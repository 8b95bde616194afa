"""The check of a policy: what is an error, what is only dubious, and how overlaps are settled."""

from __future__ import annotations

import msgspec
import pytest

from keyscope.errors import ConfigurationError
from keyscope.policy import openapi
from keyscope.policy.check import check, lint, require_sound
from keyscope.policy.document import Policy, parse
from keyscope.policy.findings import Kind

HEAD = """\
policy: shop
title: A shop
key_management: staff
resource_types: {orders: Orders, staff: People}
operations:
  - {id: listStaff, call: GET /staff, needs: [staff:read]}
  - {id: listOrders, call: GET /orders, needs: [orders:read]}
"""

DOCUMENT = """\
openapi: 3.1.0
info: {title: A shop}
paths:
  /staff: {get: {operationId: listStaff}}
  /orders:
    get: {operationId: listOrders}
"""

BODY = """\
    post:
      operationId: createOrder
      requestBody:
        $ref: '#/components/requestBodies/order'
components:
  requestBodies:
    order: {content: {application/json: {schema: {$ref: '#/components/schemas/order'}}}}
  schemas:
    order:
      allOf:
        - type: object
          properties:
            approver: {type: [string, 'null']}
            note: {}
            free: {type: object}
            open: {additionalProperties: true}
            shut: {additionalProperties: false}
        - {properties: {lines: {type: array, items: {$ref: '#/components/schemas/line'}}}}
    line: {type: object, additionalProperties: {$ref: '#/components/schemas/order'}, properties: {sku: {type: string}}}
"""


def shop(*rows: str) -> Policy:
    return parse(HEAD + "".join(f"  - {row}\n" for row in rows), "test")


def findings(*rows: str, document: str = "") -> list[tuple[Kind, str]]:
    report = check(shop(*rows), openapi.parse(document, "document") if document else None)
    return [(finding.kind, finding.message) for finding in report.findings]


def test_a_sound_policy_has_no_findings() -> None:
    assert findings(document=DOCUMENT) == []
    require_sound(shop())


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("{id: a, call: GET /a, needs: [orders:read], body: [{when: $.x, needs: staff:read}]}", "GET has no body"),
        ("{id: a, call: HEAD /a, needs: [orders:read], body: [{when: $.x, needs: staff:read}]}", "HEAD has no body"),
        (
            "{id: a, call: PUT /a, needs: [orders:read], transport: multipart, body: [{when: $.x, needs: staff:read}]}",
            "a multipart body is not JSON",
        ),
        (
            "{id: a, call: POST /a, needs: [orders:read], creates: {orders: $.id}}",
            "it creates orders and does not need",
        ),
        ("{id: a, call: POST /a, needs: [staff:write], destroys: orders}", "it destroys orders and does not need"),
    ],
)
def test_a_row_that_contradicts_itself_is_an_error(row: str, says: str) -> None:
    ((kind, message),) = findings(row)
    assert kind is Kind.CONTRADICTORY
    assert says in message
    with pytest.raises(ConfigurationError) as caught:
        require_sound(shop(row))
    assert says in caught.value.faults[0].message


def test_a_tie_in_which_one_row_needs_nothing_is_an_error() -> None:
    rows = (
        "{id: free, call: 'GET /a/{x}/c', needs: []}",
        "{id: bound, call: 'GET /a/b/{y}', needs: [orders:read]}",
    )
    ((kind, message),) = findings(*rows)
    assert kind is Kind.CONTRADICTORY
    assert "it needs nothing, but ties with bound (GET /a/b/{y})" in message


def test_a_tie_that_a_literal_row_takes_over_is_no_error() -> None:
    rows = (
        "{id: free, call: 'GET /a/{x}/c', needs: []}",
        "{id: bound, call: 'GET /a/b/{y}', needs: [orders:read]}",
        "{id: exact, call: GET /a/b/c, needs: [orders:read]}",
    )
    assert findings(*rows) == []


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (
            [
                "{id: free, call: GET /a/public, needs: []}",
                "{id: bound, call: 'GET /a/{x}', needs: [orders:read]}",
            ],
            "takes calls from bound",
        ),
        (["{id: a, call: POST /a, needs: []}"], "any live key may POST here"),
        (
            ["{id: a, call: POST /a, needs: [staff:write], body: [{when: $.x, needs: staff:read}]}"],
            "which the row needs anyway",
        ),
        (
            [
                """{id: a, call: POST /a, needs: [orders:write],
                    body: [{when: $.x, needs: staff:read}, {when: $.x, needs: staff:read}]}"""
            ],
            "calls for staff:read twice",
        ),
    ],
)
def test_what_is_probably_not_meant_is_dubious_and_no_error(rows: list[str], says: str) -> None:
    ((kind, message),) = findings(*rows)
    assert kind is Kind.DUBIOUS
    assert says in message
    assert lint(shop(*rows)).ok
    require_sound(shop(*rows))


def test_a_resource_type_that_no_row_needs_is_dubious() -> None:
    policy = parse(HEAD.replace("staff: People", "staff: People, stock: Goods"), "test")
    assert [(finding.kind, finding.call) for finding in lint(policy).findings] == [(Kind.DUBIOUS, "stock")]


def test_a_free_row_that_gives_way_to_a_literal_one_is_fine() -> None:
    assert (
        findings("{id: free, call: 'GET /a/{x}', needs: []}", "{id: bound, call: GET /a/b, needs: [orders:read]}") == []
    )


def test_an_operation_without_a_row_is_unmapped() -> None:
    assert findings(document=DOCUMENT + "    delete: {operationId: dropOrders}\n") == [
        (Kind.UNMAPPED, "no row speaks of this operation (dropOrders): add one.")
    ]


def test_a_row_without_an_operation_is_dead_unless_it_says_so() -> None:
    row = "{id: extra, call: GET /extra, needs: [orders:read]}"
    ((kind, message),) = findings(row, document=DOCUMENT)
    assert kind is Kind.DEAD
    assert "say undocumented: true" in message
    assert findings(row.replace("}", ", undocumented: true}"), document=DOCUMENT) == []


def test_a_parameter_may_have_another_name_in_the_document() -> None:
    row = "{id: getOrder, call: 'GET /orders/{id}', needs: [orders:read]}"
    assert findings(row, document=DOCUMENT + "  /orders/{order_id}: {get: {operationId: getOrder}}\n") == []


def test_a_row_that_says_undocumented_and_is_documented_is_dead() -> None:
    row = "{id: getOrder, call: 'GET /orders/{id}', needs: [orders:read], undocumented: true}"
    ((kind, message),) = findings(row, document=DOCUMENT + "  /orders/{id}: {get: {}}\n")
    assert kind is Kind.DEAD
    assert "the document has it" in message


@pytest.mark.parametrize(
    ("scopes", "fine"),
    [("[orders:read]", True), ("[orders:write]", False), ("[]", False), ("[orders:read, staff:read]", False)],
)
def test_scopes_that_differ_from_those_in_the_document_are_an_error(scopes: str, fine: bool) -> None:
    document = DOCUMENT.replace(
        "{operationId: listOrders}", f"{{operationId: listOrders, x-required-scopes: {scopes}}}"
    )
    assert document != DOCUMENT
    assert [kind for kind, _ in findings(document=document)] == ([] if fine else [Kind.CONTRADICTORY])


def test_an_id_that_the_document_gives_to_another_call_is_an_error() -> None:
    document = DOCUMENT + "  /other: {get: {operationId: getOrder}}\n  /orders/{id}: {get: {}}\n"
    rows = (
        "{id: getOrder, call: 'GET /orders/{id}', needs: [orders:read]}",
        "{id: other, call: GET /other, needs: [orders:read]}",
    )
    ((kind, message),) = findings(*rows, document=document)
    assert kind is Kind.CONTRADICTORY
    assert "this is the id of GET /other" in message


@pytest.mark.parametrize(
    ("path", "known"),
    [
        ("$.approver", True),
        ("$.lines[*].sku", True),
        ("$.lines[*].other.approver", True),  # a line has additional properties, each of them an order
        ("$.lines[*].*.lines[*].sku", True),
        ("$.*", True),
        ("$.note.anything", True),  # an empty schema says nothing
        ("$.free.anything", True),  # nor does a bare object
        ("$.open.anything", True),
        ("$.shut.anything", False),
        ("$.aprover", False),
        ("$.approver.name", False),  # a string has no members
        ("$.lines.sku", False),
        ("$.approver[*]", False),
        ("$.lines[*].sku[*]", False),
    ],
)
def test_a_body_condition_must_lead_to_a_member_of_the_request_schema(path: str, known: bool) -> None:
    row = (
        f"{{id: createOrder, call: POST /orders, needs: [orders:write], body: [{{when: '{path}', needs: staff:read}}]}}"
    )
    found = findings(row, document=DOCUMENT + BODY)
    assert [kind for kind, _ in found] == ([] if known else [Kind.CONTRADICTORY])
    marked = findings(row.replace("staff:read", "staff:read, undocumented: true"), document=DOCUMENT + BODY)
    assert [kind for kind, _ in marked] == ([Kind.DEAD] if known else [])


def test_a_body_condition_on_an_operation_without_a_json_body_is_an_error() -> None:
    row = "{id: createOrder, call: POST /orders, needs: [orders:write], body: [{when: $.x, needs: staff:read}]}"
    ((kind, message),) = findings(row, document=DOCUMENT + "    post: {operationId: createOrder}\n")
    assert kind is Kind.CONTRADICTORY
    assert "nothing at $.x" in message


def test_overlaps_say_how_they_are_settled() -> None:
    rows = (
        "{id: one, call: 'GET /a/{x}/c', needs: [orders:read]}",
        "{id: two, call: 'GET /a/b/{y}', needs: [staff:read]}",
        "{id: other, call: 'POST /a/{x}/c', needs: [staff:read]}",
        "{id: any, call: 'GET /a/{x}/{y}', needs: [orders:read]}",
        "{id: three, call: 'GET /{z}/b/c', needs: [orders:write]}",
        "{id: p, call: 'GET /p/{x}/c', needs: [orders:read]}",
        "{id: q, call: 'GET /p/b/{y}', needs: [orders:read]}",
        "{id: r, call: PUT /p/b/c, needs: [orders:read]}",
    )
    texts = [str(overlap) for overlap in lint(shop(*rows)).overlaps]
    triple = "true tie: needs the scopes of all (staff:read orders:write): GET /a/b/{y}, GET /a/{x}/c, GET /{z}/b/c"
    assert triple in texts
    assert "literal wins: GET /a/{x}/c over GET /a/{x}/{y}" in texts
    refused = (
        "refused: a more literal template without this method takes the calls common to GET /p/{x}/c, GET /p/b/{y}"
    )
    assert refused in texts
    assert not any("POST" in text for text in texts)


def test_a_report_reads_as_text_and_as_json() -> None:
    report = lint(shop("{id: a, call: POST /a, needs: []}"))
    assert str(report).splitlines() == [
        "dubious: a (POST /a): any live key may POST here: name a scope, unless this is meant.",
        "shop: 3 operations, 0 errors, 1 dubious, 0 overlaps (0 true ties)",
    ]
    assert msgspec.to_builtins(report)["findings"][0]["kind"] == "dubious"
