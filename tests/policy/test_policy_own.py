"""Keyscope's own operations join a policy, governed by the resource type that the policy names."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from keyscope.errors import ConfigurationError
from keyscope.policy.check import lint
from keyscope.policy.document import load, parse
from keyscope.policy.own import own_ids, with_own_operations

MANAGEMENT = {
    "createRestrictedKey": ("POST /v1/restricted_keys", "account:write"),
    "listRestrictedKeys": ("GET /v1/restricted_keys", "account:read"),
    "getRestrictedKey": ("GET /v1/restricted_keys/{id}", "account:read"),
    "updateRestrictedKey": ("POST /v1/restricted_keys/{id}", "account:write"),
    "revokeRestrictedKey": ("POST /v1/restricted_keys/{id}/revoke", "account:write"),
    "createAPIKey": ("POST /v1/apikeys", "account:write"),
    "listAPIKeys": ("GET /v1/apikeys", "account:read"),
    "getAPIKey": ("GET /v1/apikeys/{id}", "account:read"),
    "updateAPIKey": ("POST /v1/apikeys/{id}", "account:write"),
    "revokeAPIKey": ("POST /v1/apikeys/{id}/revoke", "account:write"),
    "readMetrics": ("GET /keyscope/metrics", "account:read"),
    "listWebhooks": ("GET /keyscope/webhooks", "account:read"),
    "addWebhook": ("POST /keyscope/webhooks", "account:write"),
    "listDeadMessages": ("GET /keyscope/webhooks/dead", "account:read"),
    "removeWebhook": ("POST /keyscope/webhooks/{webhook_id}/remove", "account:write"),
    "retryWebhook": ("POST /keyscope/webhooks/{webhook_id}/retry", "account:write"),
    "observeRestrictedKey": ("POST /v1/restricted_keys/{id}/observe", "account:write"),
    "suggestScopes": ("GET /v1/restricted_keys/{id}/suggestion", "account:read"),
    "narrowRestrictedKey": ("POST /v1/restricted_keys/{id}/narrow", "account:write"),
    "revertRestrictedKey": ("POST /v1/restricted_keys/{id}/revert", "account:write"),
    "undeleteRestrictedKey": ("POST /v1/restricted_keys/{id}/undelete", "account:write"),
    "suspendRestrictedKey": ("POST /v1/restricted_keys/{id}/suspend", "account:write"),
    "resumeRestrictedKey": ("POST /v1/restricted_keys/{id}/resume", "account:write"),
    "rotateRestrictedKey": ("POST /v1/restricted_keys/{id}/rotate", "account:write"),
    "getRestrictedKeyTree": ("GET /v1/restricted_keys/{id}/tree", "account:read"),
    "getRestrictedKeyBlast": ("GET /v1/restricted_keys/{id}/blast", "account:read"),
    "revokeDerivedRestrictedKey": ("POST /v1/restricted_keys/{id}/derived/{derived_id}/revoke", "account:write"),
    "undeleteAPIKey": ("POST /v1/apikeys/{id}/undelete", "account:write"),
    "suspendAPIKey": ("POST /v1/apikeys/{id}/suspend", "account:write"),
    "resumeAPIKey": ("POST /v1/apikeys/{id}/resume", "account:write"),
    "rotateAPIKey": ("POST /v1/apikeys/{id}/rotate", "account:write"),
    "getAPIKeyTree": ("GET /v1/apikeys/{id}/tree", "account:read"),
    "getAPIKeyBlast": ("GET /v1/apikeys/{id}/blast", "account:read"),
    "revokeDerivedAPIKey": ("POST /v1/apikeys/{id}/derived/{derived_id}/revoke", "account:write"),
    "endKeys": ("POST /keyscope/panic", "account:write"),
    "reportLeaks": ("POST /keyscope/leaks", "account:write"),
    "verifyKey": ("POST /keyscope/verify", "account:read"),
    "followChanges": ("GET /keyscope/changes", "account:read"),
    "searchAudit": ("GET /keyscope/audit", "account:read"),
    "countUses": ("GET /keyscope/usage", "account:read"),
    "getRules": ("GET /keyscope/rules", "account:read"),
    "replaceRules": ("POST /keyscope/rules", "account:write"),
    "introspectToken": ("POST /keyscope/introspect", "account:read"),
    "evaluateAccess": ("POST /keyscope/access/v1/evaluation", "account:read"),
    "evaluateAccesses": ("POST /keyscope/access/v1/evaluations", "account:read"),
    "searchActions": ("POST /keyscope/access/v1/search/action", "account:read"),
    "searchResources": ("POST /keyscope/access/v1/search/resource", "account:read"),
}
QUESTIONS = {
    "revokeMe": ("POST /keyscope/me/revoke", ""),
    "describeMe": ("GET /keyscope/me", ""),
    "renewMe": ("POST /keyscope/me/renew", ""),
    "getReceipt": ("GET /keyscope/receipts/{epoch}/{number}", ""),
    "listHolds": ("GET /keyscope/holds", ""),
    "getHold": ("GET /keyscope/holds/{hold_id}", ""),
    "approveHold": ("POST /keyscope/holds/{hold_id}/approve", ""),
    "refuseHold": ("POST /keyscope/holds/{hold_id}/refuse", ""),
    "canI": ("GET /keyscope/can", ""),
    "listOperations": ("GET /keyscope/operations", ""),
    "listPresets": ("GET /keyscope/presets", ""),
    "lintScopes": ("POST /keyscope/lint", ""),
    "revokeToken": ("POST /keyscope/oauth/revoke", ""),
}

SHOP = """\
policy: shop
title: A shop
key_management: {key_management}
resource_types: {{orders: Orders, account: Keys}}
operations:
  - {{id: listOrders, call: GET /orders, needs: [orders:read]}}
  - {{id: listAccounts, call: GET /accounts, needs: [account:read]}}
{row}
"""


def shop(row: str = "", key_management: str = "account") -> dict[str, tuple[str, str]]:
    policy = with_own_operations(parse(SHOP.format(row=row, key_management=key_management), "test"))
    assert lint(policy).ok
    return {o.id: (o.call, " ".join(map(str, o.needs))) for o in policy.operations if o.id in own_ids()}


def test_the_own_operations_need_the_type_that_governs_keys() -> None:
    assert shop() == {**MANAGEMENT, **QUESTIONS}


def test_without_a_governing_type_only_the_questions_are_left() -> None:
    assert shop(key_management="null") == QUESTIONS


def test_what_the_policy_has_already_is_not_repeated() -> None:
    policy = with_own_operations(load("runloop"))
    assert tuple(replace(row, is_own=False) for row in policy.operations[:160]) == load("runloop").operations
    assert {o.id for o in policy.operations[160:]} == (MANAGEMENT | QUESTIONS).keys() - {
        "createAPIKey",
        "createRestrictedKey",
    }
    assert policy.undocumented > load("runloop").undocumented


def test_every_built_in_policy_with_its_own_operations_is_sound() -> None:
    for name in ("runloop", "github-issues"):
        policy = with_own_operations(load(name))
        assert lint(policy).findings == ()
        assert "keys" not in {scope.resource for row in policy.operations for scope in row.needs}


def test_what_the_own_operations_make_and_end_is_governed_too() -> None:
    table = with_own_operations(parse(SHOP.format(row="", key_management="account"), "test")).table()
    creation, end = table.by_id("createRestrictedKey"), table.by_id("revokeRestrictedKey")
    assert creation is not None
    assert end is not None
    assert creation.creates is not None
    assert creation.creates[0] == end.destroys == "account"


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ("  - {id: mint, call: POST /v1/apikeys, needs: [account:write]}", "give this row the id 'createAPIKey'"),
        ("  - {id: canI, call: GET /can, needs: [orders:read]}", "Keyscope's own GET /keyscope/can"),
        ("  - {id: createAPIKey, call: POST /v1/apikeys, needs: []}", "needs account:write: add it"),
        ("  - {id: getAPIKey, call: 'GET /v1/apikeys/{key}', needs: [orders:read]}", "needs account:read: add it"),
    ],
)
def test_a_row_that_disagrees_with_keyscopes_own_is_refused(row: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        shop(row)
    assert [says in fault.message for fault in caught.value.faults] == [True]


def test_a_row_that_manages_keys_is_refused_where_no_type_governs_them() -> None:
    with pytest.raises(ConfigurationError) as caught:
        shop("  - {id: createAPIKey, call: POST /v1/apikeys, needs: [account:write]}", key_management="null")
    assert "set key_management, or remove this row" in caught.value.faults[0].message
