"""Applications behind the middleware, as a server imports them. What they are told comes from the environment.

``app`` answers every request with what it was shown, and marks its answers, so that a refusal is told from them.
"""

from __future__ import annotations

import json
import os
from typing import Any

from keyscope.asgi import CALLER, Caller, KeyscopeMiddleware
from keyscope.client import AsyncVerifier

REACHED = "x-reached"


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """Says what it was shown, and echoes what a WebSocket sends."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await send({"type": "lifespan.shutdown.complete"})
    elif scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            text = message.get("text") or ""
            if text == "bye":
                await send({"type": "websocket.close"})
                return
            await send({"type": "websocket.send", "text": f"{_caller(scope)['key_id']} {text}"})
    else:
        await _answer(scope, receive, send)


def _caller(scope: Any) -> Any:
    caller = scope[CALLER]
    return {name: getattr(caller, name) for name in Caller.__struct_fields__} if caller is not None else None


async def _answer(scope: Any, receive: Any, send: Any) -> None:
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    shown = {
        "method": scope["method"],
        "path": scope["path"],
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
        "body": body.decode("utf-8"),
        "caller": _caller(scope),
    }
    headers = [(b"content-type", b"application/json"), (REACHED.encode(), b"1")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(shown).encode()})


def _guarded() -> Any:
    exempt = ["/healthz"]
    if "GUARD_URL" in os.environ:
        verifier = AsyncVerifier(os.environ["GUARD_URL"], os.environ["GUARD_KEY"], max_age_s=3600, timeout_s=2)
        return KeyscopeMiddleware(bare, verifier=verifier, exempt=exempt, trusted_proxies=())
    database, replica = os.environ["GUARD_DATABASE"], os.environ.get("GUARD_REPLICA")
    return KeyscopeMiddleware(
        bare, database=database, replica=replica, policy="runloop", exempt=exempt, trusted_proxies=()
    )


app = _guarded() if {"GUARD_URL", "GUARD_DATABASE"} & set(os.environ) else bare
