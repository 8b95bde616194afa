"""An application behind the middleware that passes on whatever reaches it, for the recorder to note.

``RELAY_PORT`` is the recorder's port, ``RELAY_DATABASE`` the authority's database. Who calls is said in the gate's two
fields, from what the middleware put into the scope. Cookies are an application's own business, so they stay here.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

from keyscope.asgi import CALLER, KeyscopeMiddleware

_STAY = frozenset(b"connection cookie expect host keep-alive te trailer transfer-encoding upgrade".split())


async def relay(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": message["type"] + ".complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    reader, writer = await asyncio.open_connection("127.0.0.1", int(os.environ["RELAY_PORT"]))
    try:
        writer.write(_head(scope))
        if scope["type"] == "websocket":
            await reader.readline()
            await send({"type": "websocket.close"})
        elif await _body(scope, receive, writer):
            await reader.readline()
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
            await send({"type": "http.response.body", "body": b"{}"})
    finally:
        writer.close()


def _head(scope: Any) -> bytes:
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    fields = [(name, value) for name, value in scope["headers"] if name not in _STAY]
    caller = scope[CALLER]
    fields += [(b"x-keyscope-key-id", caller.key_id.encode()), (b"x-keyscope-account-id", caller.account_id.encode())]
    if scope["type"] == "http" and _is_chunked(scope):
        fields.append((b"transfer-encoding", b"chunked"))
    method = scope.get("method", "GET").encode()
    lines = [method + b" " + target + b" HTTP/1.1", b"host: application", *(n + b": " + v for n, v in fields)]
    return b"\r\n".join([*lines, b"", b""])


def _is_chunked(scope: Any) -> bool:
    names = {name for name, _ in scope["headers"]}
    return b"transfer-encoding" in names and b"content-length" not in names


async def _body(scope: Any, receive: Any, writer: asyncio.StreamWriter) -> bool:
    """Whether all of it came, and went on."""
    is_chunked = _is_chunked(scope)
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return False
        part: bytes = message.get("body", b"")
        if part:
            writer.write(b"%x\r\n%b\r\n" % (len(part), part) if is_chunked else part)
        if not message.get("more_body", False):
            writer.write(b"0\r\n\r\n" if is_chunked else b"")
            await writer.drain()
            return True


def _guarded() -> KeyscopeMiddleware:
    return KeyscopeMiddleware(relay, database=os.environ["RELAY_DATABASE"], policy="runloop")


app = _guarded() if "RELAY_PORT" in os.environ else relay
