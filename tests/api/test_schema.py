"""Schemathesis against the served OpenAPI document: no 5xx, no undocumented status, replies as documented."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.live import Live

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]

OPERATIONS = [
    f"{method} {prefix}{rest}"
    for prefix in ("/v1/restricted_keys", "/v1/apikeys")
    for method, rest in (("GET", ""), ("POST", ""), ("GET", "/{key_id}"), ("POST", "/{key_id}"))
] + [
    *(
        f"{method} {prefix}/{{key_id}}/{rest}"
        for prefix in ("/v1/restricted_keys", "/v1/apikeys")
        for method, rest in (
            ("POST", "revoke"),
            ("POST", "undelete"),
            ("POST", "suspend"),
            ("POST", "resume"),
            ("POST", "rotate"),
            ("GET", "tree"),
            ("GET", "blast"),
            ("POST", "derived/{derived_id}/revoke"),
        )
    ),
    *(f"POST /v1/restricted_keys/{{key_id}}/{verb}" for verb in ("observe", "narrow", "revert")),
    "GET /v1/restricted_keys/{key_id}/suggestion",
    "POST /keyscope/panic",
    "POST /keyscope/leaks",
    "POST /keyscope/leaks/github",
    "POST /keyscope/me/renew",
    "GET /keyscope/receipts/{epoch}/{number}",
    "GET /keyscope/holds",
    "GET /keyscope/holds/{hold_id}",
    "POST /keyscope/holds/{hold_id}/approve",
    "POST /keyscope/holds/{hold_id}/refuse",
    "POST /keyscope/me/revoke",
    "GET /keyscope/rules",
    "POST /keyscope/rules",
    "GET /keyscope/presets",
    "POST /keyscope/lint",
    "GET /keyscope/me",
    "GET /keyscope/can",
    "GET /keyscope/operations",
    "POST /keyscope/verify",
    "GET /keyscope/changes",
    "GET /keyscope/audit",
    "GET /keyscope/usage",
    "GET /keyscope/metrics",
    "GET /keyscope/webhooks",
    "POST /keyscope/webhooks",
    "GET /keyscope/webhooks/dead",
    "POST /keyscope/webhooks/{webhook_id}/remove",
    "POST /keyscope/webhooks/{webhook_id}/retry",
    "POST /keyscope/introspect",
    "POST /keyscope/oauth/revoke",
    "POST /keyscope/access/v1/evaluation",
    "POST /keyscope/access/v1/evaluations",
    "POST /keyscope/access/v1/search/action",
    "POST /keyscope/access/v1/search/resource",
    "GET /.well-known/oauth-authorization-server",
    "GET /.well-known/authzen-configuration",
    "GET /keyscope/healthz",
    "GET /keyscope/readyz",
]


@pytest.fixture(scope="module")
def document(live: Live) -> Any:
    return schemathesis.openapi.from_url(f"{live.url}/keyscope/openapi.json")


def test_the_document_has_exactly_these_operations(live: Live) -> None:
    paths = live.call("GET", "/keyscope/openapi.json", "").json()["paths"]
    served = [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]
    assert sorted(served) == sorted(OPERATIONS)


# A stream has no end that could be waited for: tests/api/test_changes.py.
ENDLESS = {"GET /keyscope/changes"}
GOOD = [(operation, GenerationMode.POSITIVE) for operation in OPERATIONS if operation not in ENDLESS]
# Nothing can be sent wrongly to an operation that takes nothing.
_NOTHING = ("/me", "/operations", "/metrics", "z", "/oauth-authorization-server", "/authzen-configuration")
BAD = [(op, GenerationMode.NEGATIVE) for op in OPERATIONS if not (op.endswith(_NOTHING) or op in ENDLESS)]


@pytest.mark.parametrize(("operation", "mode"), GOOD + BAD)
def test_every_operation_answers_as_documented(document: Any, live: Live, operation: str, mode: GenerationMode) -> None:
    method, path = operation.split(" ")
    strategy = document[path][method].as_strategy(generation_mode=mode)

    @settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(case=strategy)
    def check(case: Any) -> None:
        case.call_and_validate(headers={"Authorization": f"Bearer {live.first}"}, checks=CHECKS)

    check()
