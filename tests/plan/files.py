"""Files of calls, as programs write them."""

from __future__ import annotations

import json
from typing import Any

API = "https://api.example.com"
SECRET = "Bearer rk_this_must_never_be_shown"


def entry(method: str, url: str, body: object = None, *, kind: str = "application/json", **more: Any) -> dict[str, Any]:
    """One entry of a HAR file, full of secrets as they are."""
    request: dict[str, Any] = {
        "method": method,
        "url": url if "://" in url else API + url,
        "headers": [{"name": "Authorization", "value": SECRET}, {"name": "Cookie", "value": "session=" + SECRET}],
        "cookies": [{"name": "session", "value": SECRET}],
        **more,
    }
    if body is not None:
        request["postData"] = {"mimeType": kind, "text": body if isinstance(body, str) else json.dumps(body)}
    return {"request": request, "response": {"status": 200, "content": {"text": SECRET}}}


def har(*entries: object) -> bytes:
    return json.dumps({"log": {"version": "1.2", "creator": {}, "entries": list(entries)}}).encode()


def trace(*calls: object) -> bytes:
    return "".join(json.dumps(call) + "\n" for call in calls).encode()
