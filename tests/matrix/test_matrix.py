"""Every operation of the Runloop policy, with exactly what it needs and with each needed scope missing in turn."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from keyscope.model.operation import Operation
from keyscope.model.scope import Scope
from tests.live import Live
from tests.matrix.cases import LOCAL_IDS, OWN, POLICY, ROWS, Case, body_cases, static_cases, tied_cases
from tests.matrix.wire import Answered, Wire
from tests.recorder import Recorder, Seen

CASES = [*static_cases(), *body_cases(), *tied_cases()]
UPSTREAM_KEY = "ak_upstream_key_of_the_tests"


class Keys:
    """Restricted keys, minted once for each set of scopes."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._secrets: dict[tuple[Scope, ...], str] = {}

    def secret(self, scopes: tuple[Scope, ...]) -> str:
        if scopes not in self._secrets:
            self._secrets[scopes] = self._live.mint(*map(str, scopes))["key_secret"]
        return self._secrets[scopes]


@pytest.fixture(scope="module")
def keys(live: Live) -> Keys:
    return Keys(live)


@pytest.fixture(scope="module")
def wire(live: Live) -> Iterator[Wire]:
    connection = Wire(live.port)
    yield connection
    connection.close()


def refused_for(answer: Answered) -> list[str]:
    """The scopes that a 403 names."""
    assert answer.status == 403, answer.body
    missing: list[str] = answer.json()["missing_scopes"]
    return missing


def check_same(case: Case, seen: Seen) -> None:
    """The upstream got what was sent."""
    assert (seen.method, seen.target) == (case.method, case.target)
    assert seen.all("authorization") == [f"Bearer {UPSTREAM_KEY}"]
    if case.judged and case.body:
        assert json.loads(seen.body) == json.loads(case.body)
    else:
        assert seen.body == (case.body or b"")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_exactly_the_needed_scopes_let_it_through_and_one_too_few_does_not(
    case: Case, wire: Wire, keys: Keys, upstream: Recorder
) -> None:
    assert case.needs, "every operation of this policy needs something"
    for lost, left in case.one_too_few():
        answer = wire.send(case.method, case.target, keys.secret(left), case.body)
        assert refused_for(answer) == [str(lost)]
    assert upstream.take() == []
    assert wire.send(case.method, case.target, keys.secret(case.needs), case.body).status == 200
    [seen] = upstream.take()
    check_same(case, seen)


def test_a_key_without_any_scope_is_told_all_that_it_lacks(wire: Wire, keys: Keys, upstream: Recorder) -> None:
    for case in CASES:
        answer = wire.send(case.method, case.target, keys.secret(()), case.body)
        known = {str(scope) for scope in case.needs}
        named = set(refused_for(answer))
        # The body is not read for a caller whom the path alone refuses.
        assert named == known or (case.judged and named < known), case.name
    assert upstream.take() == []


def own_path(operation: Operation) -> str:
    return (
        operation.template.replace("{id}", "key_0000000000000000000000")
        .replace("{derived_id}", f"drv_{'0' * 22}")
        .replace("{webhook_id}", f"whk_{'0' * 22}")
    )


STANDARD_ONLY = {
    "createAPIKey",
    *(f"{verb}{word}" for verb in ("undelete", "resume") for word in ("RestrictedKey", "APIKey")),
    "endKeys",
    "replaceRules",
    "observeRestrictedKey",
    "revertRestrictedKey",
    *("listWebhooks", "addWebhook", "listDeadMessages", "removeWebhook", "retryWebhook"),
}
"""What a restricted key may never do, whatever its scopes (law 2, and to undo what an operator did)."""

ASKED_IN_VAIN = {"introspectToken", "evaluateAccess", "evaluateAccesses", "searchActions", "searchResources"}
"""Admitted, and then told that the question is not whole."""

BODIES = {
    "verifyKey": b'{"key": "x"}',
    "endKeys": b'{"all_restricted": true}',
    "reportLeaks": b'{"leaks": [{"key": "x"}]}',
    "addWebhook": b'{"url": "https://hooks.example.com"}',
    "observeRestrictedKey": b'{"until_ms": null}',
    "narrowRestrictedKey": b'{"scopes": []}',
}


ENDLESS = {"followChanges"}
"""Admitted, and then told things for as long as its key is good."""


@pytest.mark.parametrize("operation", [row for row in OWN if row.needs], ids=lambda operation: operation.id)
def test_keyscope_answers_its_own_operations_by_the_same_rule(
    operation: Operation, wire: Wire, keys: Keys, upstream: Recorder
) -> None:
    [need] = operation.needs
    body = BODIES.get(operation.id, b"{}") if operation.method == "POST" else None
    for lost, left in Case("", "", "", operation.needs, None, judged=False).one_too_few():
        refused = wire.send(operation.method, own_path(operation), keys.secret(left), body)
        # The challenge: what the body looks like is the standard's that the endpoint follows.
        assert (refused.status, f'scope="{lost}"' in refused.challenge) == (403, True)
    if operation.id in ENDLESS:
        assert wire.status(operation.method, own_path(operation), keys.secret((need,))) == 200
        return
    answer = wire.send(operation.method, own_path(operation), keys.secret((need,)), body)
    if operation.id in STANDARD_ONLY:
        assert (answer.status, answer.json()["code"]) == (403, "standard_key_required")
    elif operation.id in ASKED_IN_VAIN:
        assert answer.status in (400, 415), answer.body
    else:
        assert answer.status in (200, 404), answer.body
    assert upstream.take() == []


def test_the_matrix_holds_every_row() -> None:
    assert len(POLICY.operations) == 160
    assert len(ROWS) == 158
    assert {row.id for row in POLICY.operations} & LOCAL_IDS == {"createRestrictedKey", "createAPIKey"}
    assert {case.name for case in static_cases()} == {row.id for row in ROWS}
    assert len(list(body_cases())) == sum(len(row.body) for row in ROWS) > 20
    assert len(list(tied_cases())) >= 19


def test_ties_need_the_scopes_of_both() -> None:
    tied = {case.name: {str(scope) for scope in case.needs} for case in tied_cases()}
    assert tied["updateDiskSnapshot+suspendDevbox"] == {"devboxes:write", "snapshots:write"}
