"""Authorization server metadata (RFC 8414), and what the settings say about where this server is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keyscope.errors import ConfigurationError
from keyscope.settings import parse_settings
from keyscope.wire.own import CONFIGURATION, METADATA
from tests.attacks.h1 import exchange
from tests.live import Live
from tests.recorder import Recorder

PUBLIC = "https://keys.example.com"


def test_the_metadata_is_json_and_needs_no_key(live: Live) -> None:
    answer = live.call("GET", METADATA, "")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")


def test_the_issuer_is_where_the_metadata_was_found(live: Live) -> None:
    assert live.call("GET", METADATA, "").json()["issuer"] == live.url


def test_the_endpoints_that_it_names_answer(live: Live) -> None:
    said = live.call("GET", METADATA, "").json()
    for name in ("introspection_endpoint", "revocation_endpoint"):
        path = said[name].removeprefix(live.url)
        assert live.call("POST", path, data={"token": "nonsense"}).status_code == 200


def test_it_offers_no_grant_and_says_how_callers_authenticate(live: Live) -> None:
    said = live.call("GET", METADATA, "").json()
    assert (said["response_types_supported"], said["grant_types_supported"]) == ([], [])
    assert not said.keys() & {"token_endpoint", "authorization_endpoint"}
    assert said["introspection_endpoint_auth_methods_supported"] == ["Bearer"]
    assert said["revocation_endpoint_auth_methods_supported"] == ["Bearer"]


def test_the_scopes_are_the_policys(live: Live) -> None:
    kinds = live.call("GET", "/keyscope/operations").json()["resource_types"]
    scopes = live.call("GET", METADATA, "").json()["scopes_supported"]
    assert scopes == [f"{kind}:{level}" for kind in kinds for level in ("read", "write")]


def test_the_public_url_stands_in_every_document(new_directory: Callable[[], Path]) -> None:
    with Live(new_directory(), options=["--public-url", PUBLIC]) as live:
        metadata, access = (live.call("GET", path, "").json() for path in (METADATA, CONFIGURATION))
        assert metadata["issuer"] == access["policy_decision_point"] == PUBLIC
        assert metadata["revocation_endpoint"] == f"{PUBLIC}/keyscope/oauth/revoke"
        assert access["access_evaluation_endpoint"] == f"{PUBLIC}/keyscope/access/v1/evaluation"
        issued = live.call("POST", "/keyscope/introspect", data={"token": live.first}).json()["iss"]
        assert issued == PUBLIC


@pytest.mark.parametrize("host", ["a b", "a/b", "a?b", "user@a", "a#b", "<x>"])
def test_a_host_that_is_none_gets_no_document(live: Live, host: str) -> None:
    request = f"GET {METADATA} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    assert exchange(live.port, request.encode()).status == 400


@pytest.mark.parametrize("url", ["keys.example.com", "https://a/b", "https://u@a", "https://a?b", "ftp://a"])
def test_a_public_url_is_an_origin(url: str) -> None:
    with pytest.raises(ConfigurationError, match="settings"):
        parse_settings({"public_url": url}, {})


@pytest.mark.parametrize("path", [METADATA, CONFIGURATION])
def test_the_well_known_paths_are_exact(live: Live, upstream: Recorder, path: str) -> None:
    upstream.take()
    live.call("GET", path)
    assert live.call("POST", path).status_code == 405
    assert upstream.take() == []
    live.call("GET", f"{path}/more")  # not Keyscope's: a standard key reaches the upstream
    assert [seen.target for seen in upstream.take()] == [f"{path}/more"]
