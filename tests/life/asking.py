"""Short forms for what the tests of this folder ask of a live server."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.live import Live

KEYS = "/v1/restricted_keys"


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def status(live: Live, key: str) -> int:
    """What a key gets when it asks who it is."""
    return live.call("GET", "/keyscope/me", key).status_code


def verb(live: Live, key_id: str, name: str, by: str | None = None, **body: Any) -> httpx.Response:
    return live.call("POST", f"{KEYS}/{key_id}/{name}", by, json=body)


def done(response: httpx.Response) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    reply: dict[str, Any] = response.json()
    return reply


def view(live: Live, key_id: str) -> dict[str, Any]:
    return done(live.call("GET", f"{KEYS}/{key_id}"))


def fault(response: httpx.Response, status_code: int, code: str) -> str:
    """The message of a refusal with this status and code."""
    assert response.status_code == status_code, response.text
    problem = response.json()
    assert problem["code"] == code
    message: str = problem["message"]
    return message
