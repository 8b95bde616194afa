"""docs/policy-format.md says what the code does: its examples are read, its lists and numbers are complete."""

from __future__ import annotations

import re
from pathlib import Path

from keyscope.policy import openapi
from keyscope.policy.annotated import policy_from_openapi
from keyscope.policy.check import lint
from keyscope.policy.diff import Sort
from keyscope.policy.document import load, parse
from keyscope.policy.findings import Kind
from keyscope.policy.own import own_operations
from keyscope.policy.rows import MEMBERS, TRANSPORTS

PAGE = (Path(__file__).parents[2] / "docs" / "policy-format.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_is_a_part_of_the_built_in_policy() -> None:
    example = parse(BLOCKS[0], "the example")
    built_in = load("github-issues")
    assert set(example.operations) < set(built_in.operations)
    assert example.resource_types == built_in.resource_types
    assert lint(example).ok


def test_the_annotated_document_makes_a_policy() -> None:
    made = policy_from_openapi(openapi.parse(BLOCKS[1], "the example"))
    assert [row.id for row in made.operations] == ["listOrders", "createOrder", "health"]
    assert len(BLOCKS) == 3


def test_the_example_of_presets_and_cautions_is_read() -> None:
    shop = "policy: shop\ntitle: A shop\nresource_types: {orders: Orders}\noperations: []\n"
    made = parse(
        shop.replace("operations: []", "operations: [{id: o, call: GET /o, needs: [orders:write]}]") + BLOCKS[2], "test"
    )
    assert [preset.name for preset in made.presets] == ["read-only"]
    assert [caution.code for caution in made.cautions] == ["refunds"]


def test_every_member_transport_and_kind_is_documented() -> None:
    words = (*MEMBERS, *TRANSPORTS, *Kind, Sort.MEETING, Sort.POLICY)
    assert [word for word in words if f"`{word}`" not in PAGE] == []


def test_every_own_operation_is_documented_with_what_it_needs() -> None:
    for row in own_operations("keys"):
        needs = f"`{' '.join(map(str, row.needs))}`" if row.needs else "nothing"
        assert f"| `{row.id}` | `{row.call}` | {needs} |" in PAGE


def test_the_numbers_of_overlaps_are_those_of_the_policy() -> None:
    found = lint(load("runloop")).overlaps
    ties = [overlap for overlap in found if overlap.is_tie]
    numbers = (len(found), len(found) - len(ties), len(ties), sum(overlap.differ for overlap in found))
    foreign = sum(overlap.disjoint for overlap in ties)
    page = " ".join(PAGE.split())
    assert "has {} such pairs: in {} a literal wins, {} are true ties. In {} the two".format(*numbers) in page
    assert f"in {foreign} of the ties they have no resource type in common" in page
