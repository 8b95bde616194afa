"""Short forms for what the tests of this folder ask of a live server."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import httpx

from tests.live import Live

HOLDS = "/keyscope/holds"
SHUTDOWN = "/v1/devboxes/dbx_1/shutdown"
HOUR_MS = 3_600_000
ASK = {"deadline_ms": HOUR_MS}


def until(condition: Callable[[], Any]) -> None:
    """Return once it holds. What is waited for takes a few seconds at most."""
    end = time.monotonic() + 15
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def holding(live: Live, *scopes: str, hold: dict[str, Any] | None = None, **body: Any) -> dict[str, Any]:
    """A new key whose calls are held."""
    return live.mint(*(scopes or ("devboxes:write",)), restrictions={"hold": hold or ASK}, **body)


def held(answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    view: dict[str, Any] = answer.json()
    return view


def look(live: Live, hold_id: str, by: str | None = None) -> dict[str, Any]:
    answer = live.call("GET", f"{HOLDS}/{hold_id}", by)
    assert answer.status_code == 200, answer.text
    view: dict[str, Any] = answer.json()
    return view


def decide(live: Live, hold_id: str, verb: str, by: str | None = None, **body: Any) -> httpx.Response:
    return live.call("POST", f"{HOLDS}/{hold_id}/{verb}", by, json=body)


def ended(live: Live, hold_id: str) -> dict[str, Any]:
    """The held call, once it has come to its end."""
    until(lambda: look(live, hold_id)["status"] not in ("held", "approved", "running"))
    return look(live, hold_id)
