"""Every method of every official client through the gate: with exactly the right scopes, and with one too few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import pytest

from keyscope.model.operation import PARAMETER
from keyscope.model.scope import Level, Scope
from keyscope.policy.document import load
from tests.live import Live
from tests.recorder import Recorder, Reply
from tests.sdk.answers import Answers
from tests.sdk.clients import Call, Client
from tests.sdk.relay import Relay

POLICY = load("runloop")
TABLE = POLICY.table()
LOCAL = {"createRestrictedKey", "createAPIKey"}
"""Answered by Keyscope itself; test_sdk_keys.py has them."""


@pytest.fixture(autouse=True)
def answers(upstream: Recorder) -> Iterator[Answers]:
    answering = Answers(TABLE)
    upstream.respond = answering
    upstream.take()
    yield answering
    upstream.respond = lambda _: Reply()
    upstream.take()


class Keys:
    """Minted as needed, one for each set of scopes."""

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


def needs(operation_id: str) -> tuple[Scope, ...]:
    operation = TABLE.by_id(operation_id)
    assert operation is not None
    return operation.needs


def one_too_few(operation_id: str) -> tuple[Scope, ...]:
    """The scopes of the operation, the first of them one level lower."""
    first, *rest = needs(operation_id)
    return (Scope(first.resource, Level(first.level - 1)), *rest)


def call(client: Client, method: str, key: str) -> Call:
    operation = TABLE.by_id(client.methods[method])
    assert operation is not None
    return Call(method, key, places=operation.segments.count(PARAMETER))


def through_the_gate(client: Client) -> list[str]:
    return [method for method, operation in client.methods.items() if operation not in LOCAL]


def test_every_method_reaches_the_upstream_with_exactly_the_right_scopes(
    client: Client, live: Live, upstream: Recorder, keys: Keys, answers: Answers
) -> None:
    methods = through_the_gate(client)
    calls = [call(client, method, keys.secret(needs(client.methods[method]))) for method in methods]
    outcomes = dict(zip(methods, client.run(live.url, calls), strict=True))
    assert {method: outcome for method, outcome in outcomes.items() if outcome.error} == {}
    asked = Counter(answers.operation(seen) for seen in upstream.take())
    assert asked == Counter(client.methods[method] for method in methods)


def test_every_method_raises_permission_denied_once_with_a_scope_too_few(
    client: Client, relay: Relay, upstream: Recorder, keys: Keys
) -> None:
    methods = through_the_gate(client)
    calls = [call(client, method, keys.secret(one_too_few(client.methods[method]))) for method in methods]
    outcomes = dict(zip(methods, client.run(relay.url, calls), strict=True))
    assert {method: outcome.error for method, outcome in outcomes.items()} == dict.fromkeys(
        methods, "PermissionDeniedError"
    )
    for method, outcome in outcomes.items():
        missing = str(needs(client.methods[method])[0])
        assert outcome.body["missing_scopes"] == [missing], method
        assert missing in outcome.text, "the client shows what is missing"
    assert relay.requests == len(methods), "none is sent twice"
    assert upstream.take() == []


def test_the_methods_reach_every_resource_of_the_client(client: Client) -> None:
    resources = {method.rpartition(".")[0] for method in client.methods}
    assert len(resources) == {"python-3.0.0": 17, "python-1.32.0": 24, "ts-1.32.0": 24}[client.name]
