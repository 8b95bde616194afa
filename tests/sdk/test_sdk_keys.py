"""Keys made with Runloop's own clients: the replies pass their strictest checks and the published schema."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.live import Live
from tests.recorder import Recorder
from tests.sdk.clients import Call, Client, Outcome
from tests.sdk.relay import Relay

SCHEMA = json.loads((Path(__file__).parent.parent / "data" / "restricted-key-schema.json").read_text("utf-8"))
SCOPES = [
    {"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"},
    {"resource_type": "RESOURCE_TYPE_ACCOUNT", "access_level": "ACCESS_LEVEL_NONE"},
    {"resource_type": "RESOURCE_TYPE_OBJECTS", "access_level": "ACCESS_LEVEL_WRITE"},
]
OPTIONAL = {"expires_at_ms"}


def in_an_hour() -> int:
    return int(time.time() * 1000) + 3_600_000


def check_schema(reply: Any) -> None:
    validator = jsonschema.Draft202012Validator(SCHEMA, format_checker=jsonschema.FormatChecker())
    assert [error.message for error in validator.iter_errors(reply)] == []


@pytest.fixture
def strict(client: Client) -> bool:
    """Strict response validation, where the client has it."""
    return client.language == "python"


def create(client: Client, resource: str, key: str, **arguments: Any) -> Call:
    return Call(f"{client.resource(resource)}.create", key, arguments=arguments)


def only(outcomes: list[Outcome]) -> Outcome:
    [outcome] = outcomes
    return outcome


def succeeded(outcomes: list[Outcome]) -> dict[str, Any]:
    outcome = only(outcomes)
    assert outcome.error is None, outcome.text
    reply: dict[str, Any] = outcome.reply
    return reply


def test_a_restricted_key_created_with_no_arguments_may_do_nothing(client: Client, live: Live, strict: bool) -> None:
    call = Call(f"{client.resource('restricted_keys')}.create", live.first, arguments={}, bare=True)
    reply = succeeded(client.run(live.url, [call], strict=strict))
    check_schema(reply)
    assert reply["scopes"] == []
    assert set(reply) == {"id", "name", "key_secret", "scopes"}
    assert live.call("GET", "/v1/devboxes", reply["key_secret"]).status_code == 403


def test_a_restricted_key_comes_with_its_scopes_and_expiry_as_asked_for(
    client: Client, live: Live, strict: bool
) -> None:
    expiry = in_an_hour()
    asked = create(client, "restricted_keys", live.first, name="agent-7", scopes=SCOPES, expires_at_ms=expiry)
    reply = succeeded(client.run(live.url, [asked], strict=strict))
    check_schema(reply)
    assert set(reply) == {"id", "name", "key_secret", "scopes", "expires_at_ms"}
    assert (reply["name"], reply["scopes"], reply["expires_at_ms"]) == ("agent-7", SCOPES, expiry)


def test_a_new_restricted_key_works_at_once_and_only_within_its_scopes(
    client: Client, live: Live, upstream: Recorder, strict: bool
) -> None:
    reply = succeeded(client.run(live.url, [create(client, "restricted_keys", live.first, scopes=SCOPES)]))
    listing, making = client.run(
        live.url, [Call("devboxes.list", reply["key_secret"]), Call("devboxes.create", reply["key_secret"])]
    )
    assert (listing.error, making.error) == (None, "PermissionDeniedError")
    assert [seen.method for seen in upstream.take()] == ["GET"]


@pytest.mark.parametrize("bare", [True, False], ids=["no-arguments", "name-and-expiry"])
def test_a_standard_key_comes_with_exactly_the_documented_members(
    client: Client, live: Live, strict: bool, bare: bool
) -> None:
    expiry = in_an_hour()
    given = {} if bare else {"name": "ci", "expires_at_ms": expiry}
    call = Call(f"{client.resource('apikeys')}.create", live.first, arguments=given, bare=bare)
    reply = succeeded(client.run(live.url, [call], strict=strict))
    assert set(reply) - OPTIONAL == {"id", "name", "key_secret"}
    assert {name: reply.get(name) for name in given} == given
    assert reply["key_secret"].startswith("ak_")


def test_a_restricted_key_without_account_write_mints_nothing(client: Client, relay: Relay, live: Live) -> None:
    key = live.mint("devboxes:write", "account:read")["key_secret"]
    calls = [create(client, "restricted_keys", key), create(client, "apikeys", key)]
    outcomes = client.run(relay.url, calls)
    assert [outcome.error for outcome in outcomes] == ["PermissionDeniedError"] * 2
    assert [outcome.body["missing_scopes"] for outcome in outcomes] == [["account:write"]] * 2
    assert relay.requests == 2


def test_a_restricted_key_with_account_write_mints_no_standard_key_and_nothing_beyond_itself(
    client: Client, live: Live
) -> None:
    key = live.mint("account:write", "devboxes:read")["key_secret"]
    standard, wider, within = client.run(
        live.url,
        [
            create(client, "apikeys", key),
            create(client, "restricted_keys", key, scopes=SCOPES),
            create(client, "restricted_keys", key, scopes=SCOPES[:2]),
        ],
    )
    assert [standard.error, wider.error, within.error] == ["PermissionDeniedError", "PermissionDeniedError", None]


@pytest.mark.parametrize(
    "wrong",
    [
        {"expires_at_ms": 0},
        {"scopes": [{"resource_type": "RESOURCE_TYPE_GALAXIES", "access_level": "ACCESS_LEVEL_READ"}]},
        {"scopes": [SCOPES[0], {**SCOPES[0], "access_level": "ACCESS_LEVEL_WRITE"}]},
    ],
    ids=["expiry-in-the-past", "unknown-type", "one-type-twice"],
)
def test_a_wrong_request_raises_bad_request_once(
    client: Client, relay: Relay, live: Live, wrong: dict[str, Any]
) -> None:
    outcome = only(client.run(relay.url, [create(client, "restricted_keys", live.first, **wrong)]))
    assert (outcome.error, outcome.status, relay.requests) == ("BadRequestError", 400, 1)


@pytest.mark.parametrize("key", ["ak_wrong", "rk_" + "0" * 49], ids=["malformed", "checksum"])
def test_a_bad_key_raises_authentication_error_once(client: Client, relay: Relay, key: str) -> None:
    outcome = only(client.run(relay.url, [create(client, "restricted_keys", key)]))
    assert (outcome.error, outcome.status, relay.requests) == ("AuthenticationError", 401, 1)
