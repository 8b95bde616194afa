"""The policy of the Runloop API holds every operation of its OpenAPI document, and says what each needs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from keyscope.model.operation import Operation
from keyscope.policy import openapi
from keyscope.policy.check import check, lint
from keyscope.policy.document import Policy, load
from keyscope.policy.findings import Kind
from keyscope.policy.openapi import OpenApi

DATA = Path(__file__).parent.parent / "data" / "openapi"
DOCUMENT = DATA / "runloop.yaml"

UNDOCUMENTED = {
    "getAccountMe", "deleteAxon", "updateAxon", "createDevboxAndAwaitRunning", "watchDevboxEvictions",
    "createDevboxGatewayToken", "createDevboxMcpToken", "getSecretById", "deleteSecretById", "updateSecretById",
}  # fmt: skip


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load("runloop")


@pytest.fixture(scope="module")
def document() -> OpenApi:
    return openapi.read(str(DOCUMENT))


def row(policy: Policy, identifier: str) -> Operation:
    found = policy.table().by_id(identifier)
    assert found is not None
    return found


def test_every_operation_of_the_document_has_its_row_and_the_other_ten_say_so(
    policy: Policy, document: OpenApi
) -> None:
    calls = {(call.operation_id, call.method, call.template) for call in document.calls}
    rows = {(row.id, row.method, row.template) for row in policy.operations}
    assert (len(calls), len(rows)) == (150, 160)
    assert {identifier for identifier, _, _ in rows - calls} == UNDOCUMENTED == policy.undocumented
    assert calls < rows


def test_the_check_against_the_document_finds_nothing(policy: Policy, document: OpenApi) -> None:
    assert check(policy, document).findings == ()


def test_every_row_needs_what_was_worked_out_for_its_operation(policy: Policy) -> None:
    told = (DATA / "runloop-needs.txt").read_text("utf-8").splitlines()[1:]
    rows = [
        " | ".join([f"{row.call} {' '.join(map(str, row.needs))}", *(f"{c.when} {c.needs}" for c in row.body)])
        for row in policy.operations
    ]
    assert rows == told


def test_every_row_says_why(policy: Policy) -> None:
    assert [row.id for row in policy.operations if not row.why] == []
    assert [str(c.when) for row in policy.operations for c in row.body if not c.why] == []


def test_overlaps_and_how_each_is_settled(policy: Policy) -> None:
    found = lint(policy).overlaps
    assert len(found) == 41
    assert sum(overlap.differ for overlap in found) == 28
    ties = [overlap for overlap in found if overlap.is_tie]
    assert len(ties) == 27
    foreign = [overlap for overlap in ties if overlap.disjoint]
    assert Counter(overlap.one for overlap in foreign) == {
        "POST /v1/devboxes/disk_snapshots/{id}": 18,
        "GET /v1/devboxes/disk_snapshots/{id}/status": 1,
    }
    assert str(foreign[0]) == (
        "true tie: needs the scopes of all (snapshots:write devboxes:write account:read): "
        "POST /v1/devboxes/disk_snapshots/{id}, POST /v1/devboxes/{id}/create_gateway_token"
    )


def test_the_clients_way_to_create_a_devbox_is_not_taken_for_an_update(policy: Policy) -> None:
    found = policy.table().find("POST", "/v1/devboxes/create_and_await_running")
    assert found is not None
    assert found.id == "createDevboxAndAwaitRunning"
    assert found.conditions == row(policy, "createDevbox").body


@pytest.mark.parametrize(
    ("body", "needs"),
    [
        ({}, "devboxes:write"),
        ({"blueprint_id": None}, "devboxes:write"),
        ({"blueprint_id": "bpt_1"}, "devboxes:write blueprints:read"),
        ({"snapshot_id": "snp_1"}, "devboxes:write snapshots:read"),
        ({"secrets": {"A": "b"}}, "devboxes:write account:read"),
        ({"gateways": {"A": {"gateway": "gwc_1"}}}, "devboxes:write account:read"),
        ({"mounts": [{"type": "object_mount", "object_id": "obj_1"}]}, "devboxes:write objects:read"),
        ({"mounts": [{"agent_name": "a"}, {"object_id": "o"}]}, "devboxes:write objects:read agents:read"),
        ({"repo_connection_id": "rc_1"}, "devboxes:write repo_connections:read"),
        ({"code_mounts": [{"token": "t"}]}, "devboxes:write"),
    ],
)
def test_creating_a_devbox_needs_the_scopes_of_what_its_body_names(policy: Policy, body: dict, needs: str) -> None:  # type: ignore[type-arg]  # JSON
    found = policy.table().find("POST", "/v1/devboxes")
    assert found is not None
    assert " ".join(map(str, found.needs_with(body))) == needs


def test_rows_that_hand_out_a_way_into_a_devbox_name_the_credential(policy: Policy) -> None:
    for identifier in ("createDevboxSshKey", "createDevboxPtyTunnel", "enableDevboxTunnel", "createDevboxGatewayToken"):
        assert row(policy, identifier).credentials, identifier
    assert sum(bool(row.credentials) for row in policy.operations) == 25


def test_what_is_made_and_what_is_ended_has_its_resource_type(policy: Policy) -> None:
    made = {row.id: f"{row.creates[0]} {row.creates[1]}" for row in policy.operations if row.creates}
    assert made["createDevbox"] == made["createDevboxAndAwaitRunning"] == "devboxes $.id"
    assert made["createDiskSnapshot"] == made["createDiskSnapshotAsync"] == "snapshots $.id"
    assert made["startScenarioRun"] == "devboxes $.devbox_id"
    assert made["createRestrictedKey"] == made["createAPIKey"] == "account $.id"
    ended = {row.id: row.destroys for row in policy.operations if row.destroys}
    assert ended["shutdownDevbox"] == ended["completeScenarioRun"] == "devboxes"
    named = {row.id for row in policy.operations if "delete" in row.id.lower() or row.template.endswith("/delete")}
    assert len(named) == 10
    assert named <= ended.keys()


def test_a_missing_row_is_unmapped(policy: Policy, document: OpenApi) -> None:
    short = replace(policy, operations=tuple(row for row in policy.operations if row.id != "shutdownDevbox"))
    (finding,) = check(short, document).findings
    assert (finding.kind, finding.call) == (Kind.UNMAPPED, "POST /v1/devboxes/{id}/shutdown")


def test_a_row_for_nothing_is_dead(policy: Policy, document: OpenApi) -> None:
    known = replace(policy, undocumented=policy.undocumented - {"getAccountMe"})
    (finding,) = check(known, document).findings
    assert (finding.kind, finding.call) == (Kind.DEAD, "getAccountMe (GET /v1/accounts/me)")
