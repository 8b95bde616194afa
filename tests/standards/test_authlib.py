"""Authlib, as applications use it: its client asks and revokes, and its resource protector believes the answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]
from authlib.oauth2.rfc6750.errors import (  # type: ignore[import-untyped]
    InsufficientScopeError,
    InvalidTokenError,
)
from authlib.oauth2.rfc7662 import IntrospectTokenValidator  # type: ignore[import-untyped]
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata  # type: ignore[import-untyped]

from keyscope.wire.own import METADATA
from tests.live import Live

PUBLIC = "https://keys.example.com"


class Client:
    """An application that was told the server's address and found the rest."""

    def __init__(self, live: Live, key: str) -> None:
        self.session = OAuth2Session(token={"access_token": key, "token_type": "Bearer"})
        self.found: dict[str, Any] = live.call("GET", METADATA, "").json()

    def introspect(self, token: str) -> Any:
        endpoint = self.found["introspection_endpoint"]
        return self.session.introspect_token(endpoint, token=token, auth=self.session.token_auth)

    def revoke(self, token: str) -> Any:
        endpoint = self.found["revocation_endpoint"]
        hint = "access_token"
        return self.session.revoke_token(endpoint, token=token, token_type_hint=hint, auth=self.session.token_auth)


@pytest.fixture
def client(live: Live) -> Iterator[Client]:
    made = Client(live, live.first)
    yield made
    made.session.close()


def test_authlibs_client_introspects_and_revokes(live: Live, client: Client) -> None:
    made = live.mint("devboxes:read")
    assert client.introspect(made["key_secret"]).json()["sub"] == made["id"]
    assert client.revoke(made["key_secret"]).status_code == 200
    assert client.introspect(made["key_secret"]).json() == {"active": False}


class Protector(IntrospectTokenValidator):  # type: ignore[misc]  # Authlib has no types
    """What Authlib's documentation tells a resource server to write."""

    def __init__(self, ask: Callable[[str], Any]) -> None:
        super().__init__()
        self._ask = ask

    def introspect_token(self, token_string: str) -> Any:
        return self._ask(token_string).json()


def test_authlibs_resource_server_judges_by_the_answer(live: Live, client: Client) -> None:
    protector = Protector(client.introspect)
    made = live.mint("devboxes:write")
    token = protector.authenticate_token(made["key_secret"])
    protector.validate_token(token, ["devboxes:read"], None)
    protector.validate_token(token, ["devboxes:write"], None)
    with pytest.raises(InsufficientScopeError):
        protector.validate_token(token, ["objects:read"], None)
    live.revoke(made["id"])
    with pytest.raises(InvalidTokenError):
        protector.validate_token(protector.authenticate_token(made["key_secret"]), ["devboxes:read"], None)


CLAIMS = [
    "issuer",
    "scopes_supported",
    "introspection_endpoint",
    "introspection_endpoint_auth_methods_supported",
    "revocation_endpoint",
    "revocation_endpoint_auth_methods_supported",
    "grant_types_supported",
    "authorization_endpoint",
]


def test_authlib_accepts_every_claim_of_the_metadata(new_directory: Callable[[], Any]) -> None:
    with Live(new_directory(), options=["--public-url", PUBLIC]) as live:
        metadata = AuthorizationServerMetadata(live.call("GET", METADATA, "").json())
    for claim in CLAIMS:
        getattr(metadata, f"validate_{claim}")()
