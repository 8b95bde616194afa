"""Scopes on routes: enforced on what the middleware says, told by the OpenAPI document, and made a policy of."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from keyscope.asgi import Caller
from keyscope.fastapi import policy_of, requires, requires_scopes
from keyscope.model.scope import Scope
from keyscope.policy.annotated import policy_from_openapi
from keyscope.policy.check import check
from keyscope.policy.openapi import read
from tests.cli.run import keyscope
from tests.inprocess.serving import Served
from tests.inprocess.shop import bare, shop, starlette
from tests.live import Live


def annotated() -> str:
    """The application's document, without the route that nobody annotated."""
    document = json.loads(json.dumps(bare.openapi()))
    del document["paths"]["/forgotten"]
    return json.dumps(document)


@pytest.fixture(scope="module")
def authority(new_directory: Callable[[], Path]) -> Iterator[Live]:
    directory = new_directory()
    (directory / "openapi.json").write_text(annotated())
    with Live(directory, options=["--policy", str(directory / "openapi.json")]) as live:
        yield live


@pytest.fixture(scope="module")
def served(authority: Live) -> Iterator[Served]:
    environment = {"GUARD_DATABASE": f"sqlite:///{authority.database}"}
    with Served("uvicorn", authority.directory, "tests.inprocess.shop:guarded", environment) as app:
        yield app


def test_a_route_takes_exactly_the_scopes_that_it_names(served: Served, authority: Live) -> None:
    reader, both = authority.mint("orders:read"), authority.mint("orders:write", "money:write")
    assert served.call("GET", "/orders", reader["key_secret"]).json() == {"for": reader["id"]}
    assert served.call("POST", "/orders/7/refund", both["key_secret"]).json() == {"refunded": "7"}
    refused = served.call("POST", "/orders/7/refund", reader["key_secret"])
    assert (refused.status_code, refused.json()["missing_scopes"]) == (403, ["money:write", "orders:write"])
    assert served.call("GET", "/me", authority.mint()["key_secret"]).status_code == 200
    assert served.call("GET", "/orders").status_code == 401


def test_a_route_that_names_nothing_is_for_standard_keys(served: Served, authority: Live) -> None:
    assert served.call("GET", "/forgotten", authority.first).status_code == 200
    refused = served.call("GET", "/forgotten", authority.mint("orders:write", "money:write")["key_secret"])
    assert (refused.status_code, refused.json()["code"]) == (403, "not_in_policy")


def call(app: Any, method: str, path: str, caller: object = None) -> httpx.Response:
    """One request straight into an application, with this in its scope."""

    async def shown(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "keyscope": caller} if caller is not None else scope, receive, send)

    async def work() -> httpx.Response:
        transport = httpx.ASGITransport(shown, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.request(method, path)

    return asyncio.run(work())


def a_caller(*scopes: str, full_access: bool = False) -> Caller:
    return Caller(key_id="key_1", account_id="acc_1", full_access=full_access, scopes=scopes, chain=("key_1",))


@pytest.mark.parametrize("caller", [None, True, {"full_access": True}, "key_1"], ids=repr)
def test_without_a_middleware_nothing_is_let_through(caller: object) -> None:
    for app, path in ((bare, "/orders"), (bare, "/me"), (starlette, "/v1/devboxes")):
        refused = call(app, "GET", path, caller)
        assert refused.status_code == 503
    assert call(bare, "GET", "/me", caller).json()["code"] == "unavailable"


def test_the_dependency_itself_refuses_what_a_wider_policy_lets_through() -> None:
    refused = call(bare, "GET", "/orders", a_caller("money:write"))
    assert (refused.status_code, refused.json()["missing_scopes"]) == (403, ["orders:read"])
    assert refused.headers["www-authenticate"].endswith('error="insufficient_scope", scope="orders:read"')
    assert call(bare, "GET", "/orders", a_caller("orders:write")).status_code == 200
    assert call(bare, "POST", "/orders/7/refund", a_caller("orders:write")).status_code == 403
    assert call(bare, "POST", "/orders/7/refund", a_caller(full_access=True)).status_code == 200
    assert call(starlette, "GET", "/v1/devboxes", a_caller("devboxes:read")).status_code == 403
    assert call(starlette, "GET", "/v1/devboxes", a_caller("devboxes:write")).text == "key_1"


def test_a_scope_that_is_none_is_found_when_the_route_is_made() -> None:
    with pytest.raises(ValueError, match="orders"):
        requires("orders")
    with pytest.raises(ValueError, match="nothing"):
        requires_scopes("nothing:at:all")
    with pytest.raises(TypeError):
        requires_scopes("orders:read")(lambda request: None)


def test_the_document_says_what_each_operation_needs() -> None:
    document = bare.openapi()
    assert document["components"]["securitySchemes"]["keyscope"]["scheme"] == "bearer"
    refund = document["paths"]["/orders/{order_id}/refund"]["post"]
    assert refund["x-required-scopes"] == ["money:write", "orders:read", "orders:write"]
    assert {"401", "403", "503"} <= set(refund["responses"])
    assert document["paths"]["/me"]["get"]["x-required-scopes"] == []
    assert "x-required-scopes" not in document["paths"]["/forgotten"]["get"]


def test_the_document_makes_the_policy_and_the_policy_fits_the_document(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(annotated())
    openapi = read(str(tmp_path / "openapi.json"))
    policy = policy_from_openapi(openapi)
    assert policy == policy_of(shop())
    assert check(policy, openapi).ok
    table = policy.table()
    route = table.find("POST", "/orders/7/refund")
    assert route is not None
    # Write includes read, so the two together ask for no more than write.
    assert set(map(str, route.needs)) >= {"orders:write", "money:write"}
    assert table.find("GET", "/forgotten") is None
    assert all(Scope.parse(str(scope)) for row in policy.operations for scope in row.needs)


def test_the_command_reads_the_same_document(tmp_path: Path) -> None:
    (tmp_path / "openapi.json").write_text(annotated())
    done = keyscope("policy", "check", str(tmp_path / "openapi.json"), cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    shown = keyscope("policy", "show", str(tmp_path / "openapi.json"), "--json", cwd=tmp_path)
    needs = {row["path"]: row["needs"] for row in json.loads(shown.stdout)}
    assert needs["/orders/{order_id}/refund"] == ["money:write", "orders:read", "orders:write"]
