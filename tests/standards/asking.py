"""Asking a live server in the words of each standard."""

from __future__ import annotations

from typing import Any

import httpx

from keyscope.api.authzen import EVALUATION, EVALUATIONS, SEARCH_ACTION, SEARCH_RESOURCE
from keyscope.api.introspection import INTROSPECT, REVOKE
from tests.live import Live

ALL = (EVALUATION, EVALUATIONS, SEARCH_ACTION, SEARCH_RESOURCE)
FORM = {"content-type": "application/x-www-form-urlencoded"}


def introspect(live: Live, token: str, by: str | None = None, **more: str) -> httpx.Response:
    return live.call("POST", INTROSPECT, by, data={"token": token, **more})


def active(live: Live, token: str, by: str | None = None) -> bool:
    answer: bool = introspect(live, token, by).json()["active"]
    return answer


def revoke(live: Live, token: str, by: str | None = None, **more: str) -> httpx.Response:
    return live.call("POST", REVOKE, by, data={"token": token, **more})


def asked(key_id: str, action: str, resource: str, kind: str = "route", **properties: Any) -> dict[str, Any]:
    """An evaluation request."""
    return {
        "subject": {"type": "key", "id": key_id},
        "action": {"name": action},
        "resource": {"type": kind, "id": resource, **({"properties": properties} if properties else {})},
    }


def evaluate(live: Live, question: Any, by: str | None = None, path: str = EVALUATION, **more: Any) -> httpx.Response:
    return live.call("POST", path, by, json=question, **more)


def allowed(live: Live, question: Any) -> bool:
    response = evaluate(live, question)
    assert response.status_code == 200, response.text
    decision: bool = response.json()["decision"]
    return decision
