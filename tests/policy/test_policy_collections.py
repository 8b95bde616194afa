"""What paths, bodies and replies name, as a policy says it: complete for Runloop, and checked for any."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from keyscope.errors import BadRequest, ConfigurationError, Fault
from keyscope.model.reach import reach_of
from keyscope.model.restrictions import Restrictions
from keyscope.policy import openapi
from keyscope.policy.advice import preset_restrictions
from keyscope.policy.check import check, lint
from keyscope.policy.collections import parameters
from keyscope.policy.document import load, load_own, parse
from keyscope.policy.findings import Kind

DOCUMENT = Path(__file__).parent.parent / "data" / "openapi" / "runloop.yaml"
HEAD = "policy: shop\ntitle: A shop\nresource_types: {orders: Orders, items: Items}\n"
ROWS = """\
collections:
  /orders/{id}: orders
  /orders/{order}/lines/{number}: null
operations:
  - {id: getLine, call: 'GET /orders/{one}/lines/{two}', needs: [orders:read]}
"""


def test_every_path_parameter_of_every_runloop_operation_names_a_thing_or_is_said_not_to() -> None:
    policy = load("runloop")
    said = {collection.segments for collection in policy.collections}
    for row in policy.operations:
        assert {row.segments[: at + 1] for at in parameters(row)} <= said, row


def test_a_runloop_path_that_names_nothing_is_of_a_shell_a_metadata_key_or_an_execution() -> None:
    silent = [one.template for one in load("runloop").collections if one.resource is None]
    assert all("/metadata/keys/" in one or one.startswith("/pty/") or one.endswith("{execution_id}") for one in silent)


def test_every_runloop_reply_in_pages_says_what_it_lists() -> None:
    policy = load("runloop")
    rows = {row.id: row for row in policy.operations}
    paged = {
        call.operation_id
        for call in openapi.read(str(DOCUMENT)).calls
        if call.reply is not None and call.operation_id is not None
    }
    assert len(paged) == 28
    assert {row for row in paged if rows[row].lists is None} == policy.whole_lists == {"listAxonEvents"}
    assert {row.id for row in policy.operations if row.lists} == paged - policy.whole_lists


def test_the_document_of_the_tests_says_of_lists_what_they_hold() -> None:
    document = yaml.safe_load(DOCUMENT.read_text())
    for name, response in document["components"]["responses"].items():
        schema = response["content"]["application/json"]["schema"]
        (member,) = set(schema["properties"]) - {"has_more"}
        assert ("id" in schema["properties"][member]["items"]["properties"]) == name.startswith("PageOf")


def test_keyscopes_own_paths_say_what_they_name() -> None:
    named = {row.id: row.instances for row in load_own() if "{" in row.template}
    assert named["getRestrictedKey"] == ((2, "keys"),)
    assert all(instances for row, instances in named.items() if "APIKey" in row or "RestrictedKey" in row)


def test_a_path_names_a_thing_wherever_a_collection_is_its_beginning() -> None:
    (row,) = parse(HEAD + ROWS, "test").operations
    assert row.instances == ((1, "orders"),)


def test_in_a_tie_a_path_names_the_things_of_all_and_a_list_is_nobodys() -> None:
    route = load("runloop").table().find("POST", "/v1/devboxes/disk_snapshots/snapshot_disk")
    reach = reach_of(route)
    assert set(reach.places) == {(2, "devboxes"), (3, "snapshots")}
    assert reach.lists is None


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        (("  /orders/{id}: orders\n", ""), Kind.UNMAPPED, "nothing says what /orders/{one} names"),
        (
            ("  /orders/{order}/lines/{number}: null\n", ""),
            Kind.UNMAPPED,
            "nothing says what /orders/{one}/lines/{two}",
        ),
        (("collections:\n", "collections:\n  /items/{id}: items\n"), Kind.DEAD, "no row has a path that begins so"),
        (("[orders:read]", "[orders:read], lists: {items: $.id}"), Kind.CONTRADICTORY, "it lists items and does not"),
        (("[orders:read]", "[orders:read], refers: {$.id: items}"), Kind.CONTRADICTORY, "GET has no body"),
    ],
)
def test_the_check_finds_what_restrictions_would_not_see(change: tuple[str, str], kind: Kind, words: str) -> None:
    found = [(one.kind, one.message) for one in lint(parse(HEAD + ROWS.replace(*change), "test")).findings]
    assert any(is_kind is kind and words in message for is_kind, message in found), found


def test_the_check_holds_references_and_lists_against_the_document() -> None:
    rows = ROWS.replace("GET", "POST").replace(
        "[orders:read]", "[orders:read], refers: {$.no: items}, lists: {orders: $.x}"
    )
    schema = "{schema: {properties: {has_more: {}, orders: {items: {}}}}}"
    document = f"""\
openapi: 3.1.0
info: {{title: A shop}}
paths:
  /orders/{{a}}/lines/{{b}}:
    post:
      operationId: getLine
      requestBody: {{content: {{application/json: {schema}}}}}
      responses: {{'200': {{content: {{application/json: {schema}}}}}}}
"""
    report = check(parse(HEAD + rows, "test"), openapi.parse(document, "document"))
    said = " ".join(finding.message for finding in report.errors)
    assert "nothing at $.no: mend the path" in said
    assert "nothing at $.x, which lists names" in said
    silent = parse(HEAD + ROWS.replace("GET", "POST"), "test")
    (finding,) = check(silent, openapi.parse(document, "document")).errors
    assert finding.kind is Kind.UNMAPPED
    assert "its reply is a list in pages" in finding.message
    said_so = parse(HEAD + ROWS.replace("GET", "POST").replace("[orders:read]", "[orders:read], lists: null"), "test")
    assert check(said_so, openapi.parse(document, "document")).errors == ()


PRESET = "presets: {small: {about: Small, scopes: [orders:read], restrictions: RESTRICTIONS}}\n"


def test_a_preset_may_have_restrictions() -> None:
    text = HEAD + PRESET.replace("RESTRICTIONS", "{deny: [getLine], uses: 5, own: true}") + ROWS
    (preset,) = parse(text, "test").presets
    assert preset.restrictions == Restrictions.parse({"deny": ["getLine"], "uses": 5, "own": True})
    both = preset_restrictions((preset,), "small", Restrictions.parse({"parallel": 2}))
    assert both == Restrictions.parse({"deny": ["getLine"], "uses": 5, "own": True, "parallel": 2})
    with pytest.raises(BadRequest) as caught:
        preset_restrictions((preset,), "small", Restrictions.parse({"uses": 6}))
    assert caught.value.faults == (Fault("$.restrictions.uses", "the preset small says this already: leave it out"),)


@pytest.mark.parametrize(
    ("restrictions", "words"),
    [
        ("{use: 5}", "did you mean uses?"),
        ("{uses: many}", "send a whole number"),
        ("{own: [order]}", "'order' is no resource type of the policy"),
    ],
)
def test_restrictions_of_a_preset_that_are_none_are_faults(restrictions: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(HEAD + PRESET.replace("RESTRICTIONS", restrictions) + ROWS, "test")
    assert words in " ".join(fault.message for fault in caught.value.faults)


def test_the_check_finds_a_preset_that_denies_an_operation_which_there_is_not() -> None:
    text = HEAD + PRESET.replace("RESTRICTIONS", "{deny: [getLines]}") + ROWS
    (finding,) = lint(parse(text, "test")).errors
    assert (finding.kind, finding.call) == (Kind.CONTRADICTORY, "preset small")
    assert "did you mean getLine?" in finding.message


@pytest.mark.parametrize(
    ("collections", "words"),
    [
        ("{/orders: orders}", "it ends with the {parameter}"),
        ("{'orders/{id}': orders}", "it starts with /"),
        ("{'/orders/{id}': order}", "did you mean 'orders'?"),
        ("{'/orders/{id}': orders, '/orders/{x}': items}", "is the same as"),
    ],
)
def test_a_malformed_collection_is_a_fault(collections: str, words: str) -> None:
    text = HEAD + f"collections: {collections}\noperations: [{{id: a, call: GET /a, needs: []}}]\n"
    with pytest.raises(ConfigurationError) as caught:
        parse(text, "test")
    assert words in " ".join(fault.message for fault in caught.value.faults)
