"""Each dialect of forward-auth reads its own headers and nothing else. Asked over a real socket, as its proxy asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from keyscope.gate.forward import CADDY, DIALECTS, ENVOY, NGINX, TRAEFIK, Dialect
from tests.live import Live

Ask = Callable[..., int]
BY_HEADERS = [dialect for dialect in DIALECTS if dialect is not ENVOY]
READS = {NGINX: "x-original", CADDY: "x-forwarded", TRAEFIK: "x-forwarded"}


def name(dialect: Dialect) -> str:
    return dialect.path.decode().rpartition("/")[2]


@pytest.fixture
def ask(live: Live) -> Ask:
    """Ask about a call, in a dialect, with more headers; the status."""

    def asked(dialect: Dialect, method: str, target: str, key: str, **headers: str) -> int:
        path = dialect.path.decode()
        more = {header.replace("_", "-"): value for header, value in headers.items()}
        if dialect is ENVOY:
            return live.call(method, path + target, key, headers=more).status_code
        described = {f"{READS[dialect]}-uri": target, f"{READS[dialect]}-method": method}
        return live.call("GET", path, key, headers={**described, **more}).status_code

    return asked


@pytest.mark.parametrize("dialect", DIALECTS, ids=name)
def test_a_call_is_judged_by_its_scopes(ask: Ask, live: Live, dialect: Dialect) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    assert ask(dialect, "GET", "/v1/devboxes?limit=1", key) == 200
    assert ask(dialect, "HEAD", "/v1/devboxes", key) == 200
    assert ask(dialect, "POST", "/v1/devboxes/dbx_1/shutdown", key) == 403
    assert ask(dialect, "GET", "/v1/nowhere", key) == 403
    assert ask(dialect, "GET", "/v1/devboxes", "") == 401


@pytest.mark.parametrize("dialect", DIALECTS, ids=name)
def test_an_allowed_call_says_who_calls(live: Live, dialect: Dialect) -> None:
    made = live.mint("devboxes:read")
    headers = {f"{READS[dialect]}-uri": "/v1/devboxes", f"{READS[dialect]}-method": "GET"} if dialect in READS else {}
    path = dialect.path.decode() + ("/v1/devboxes" if dialect is ENVOY else "")
    answered = live.call("GET", path, made["key_secret"], headers=headers)
    assert answered.headers["x-keyscope-key-id"] == made["id"]
    assert answered.headers["x-keyscope-account-id"]


@pytest.mark.parametrize("dialect", DIALECTS, ids=name)
def test_the_headers_of_other_dialects_are_not_read(ask: Ask, live: Live, dialect: Dialect) -> None:
    key = live.mint("devboxes:read")["key_secret"]
    own = READS.get(dialect, "")
    claims = {
        f"{family}_{field}": value
        for family in ("x_original", "x_forwarded")
        if family.replace("_", "-") != own
        for field, value in (("uri", "/v1/devboxes"), ("method", "GET"), ("content_length", "0"))
    }
    assert ask(dialect, "GET", "/v1/blueprints", key, **claims) == 403
    assert ask(dialect, "GET", "/v1/devboxes", key, **claims) == 200


@pytest.mark.parametrize("dialect", BY_HEADERS, ids=name)
def test_a_missing_description_is_refused(live: Live, dialect: Dialect) -> None:
    status = 400 if dialect.relays else 403
    for missing in ("uri", "method"):
        headers = {f"{READS[dialect]}-uri": "/v1/devboxes", f"{READS[dialect]}-method": "GET"}
        del headers[f"{READS[dialect]}-{missing}"]
        assert live.call("GET", dialect.path.decode(), live.first, headers=headers).status_code == status


@pytest.mark.parametrize("dialect", DIALECTS, ids=name)
def test_only_a_dialect_that_relays_answers_with_more_than_401_and_403(ask: Ask, live: Live, dialect: Dialect) -> None:
    answered = ask(dialect, "GET", "/v1/devboxes/%2e%2e/x", live.first)
    assert answered == (400 if dialect.relays else 403)


@pytest.mark.parametrize("path", ["/v1/apikeys", "/v1/restricted_keys/key_1/rotate", "/keyscope/me"])
@pytest.mark.parametrize("dialect", DIALECTS, ids=name)
def test_a_path_of_keyscopes_own_is_never_sent_on(ask: Ask, live: Live, dialect: Dialect, path: str) -> None:
    assert ask(dialect, "POST", path, live.first) == 403
    assert ask(dialect, "POST", path, live.mint("account:write")["key_secret"]) == 403


@pytest.mark.parametrize("dialect", DIALECTS, ids=name)
def test_a_body_that_is_not_seen_needs_the_scopes_of_every_condition(ask: Ask, live: Live, dialect: Dialect) -> None:
    key = live.mint("devboxes:write")["key_secret"]
    assert ask(dialect, "POST", "/v1/devboxes", key) == 403
    assert ask(dialect, "POST", "/v1/devboxes", live.first) == 200


def test_nginx_says_that_a_body_holds_no_member(ask: Ask, live: Live) -> None:
    key = live.mint("devboxes:write")["key_secret"]
    assert ask(NGINX, "POST", "/v1/devboxes", key, x_original_content_length="2") == 200
    assert ask(NGINX, "POST", "/v1/devboxes", key, x_original_content_length="3") == 403


def test_a_path_of_no_dialect_is_not_found(live: Live) -> None:
    for path in ("/keyscope/authorize/other", "/keyscope/authorize/nginx/v1/devboxes", "/keyscope/authorize/envoyage"):
        assert live.call("GET", path, live.first).status_code == 404


def test_envoy_asks_with_the_callers_method_and_path_alone(live: Live) -> None:
    assert live.call("GET", ENVOY.path.decode(), live.first).status_code == 403
    assert live.call("GET", ENVOY.path.decode() + "//v1/devboxes", live.first).status_code == 403
