"""Observe, narrow and revert keys as an operator does."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.live import Live, wire_scopes

DAY_MS = 86_400_000


def soon(days: float = 1) -> int:
    return int(time.time() * 1000 + days * DAY_MS)


def observe(live: Live, key: dict[str, Any], until_ms: int | None, by: str | None = None) -> httpx.Response:
    return live.call("POST", f"/v1/restricted_keys/{key['id']}/observe", by, json={"until_ms": until_ms})


def narrow(live: Live, key: dict[str, Any], *scopes: str, by: str | None = None) -> httpx.Response:
    body = {"scopes": wire_scopes(scopes)}
    return live.call("POST", f"/v1/restricted_keys/{key['id']}/narrow", by, json=body)


def revert(live: Live, key: dict[str, Any], by: str | None = None) -> httpx.Response:
    return live.call("POST", f"/v1/restricted_keys/{key['id']}/revert", by, json={})


def shown(live: Live, key: dict[str, Any]) -> dict[str, Any]:
    view: dict[str, Any] = live.call("GET", f"/v1/restricted_keys/{key['id']}").json()
    return view


def observed(live: Live, *scopes: str, by: str | None = None) -> dict[str, Any]:
    """A new key that is observed from now on."""
    key = live.mint(*scopes, by=by)
    assert observe(live, key, soon()).status_code == 200
    return key
