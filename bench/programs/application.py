"""An ASGI application that answers 1 KiB of JSON: ``bare``, ``wrapped`` in a middleware that does nothing, and
``guarded`` by Keyscope's.

Any ASGI server runs it, as ``bench.programs.application:bare``. The middleware's database is in ``KEYSCOPE_DATABASE``.
"""

from __future__ import annotations

import importlib
import json
import os
from typing import Any

_BODY = json.dumps({"id": "dbx_30xQ2cP9bYyh1", "status": "running", "filler": "x" * 960}).encode()
_HEADERS = [(b"content-type", b"application/json"), (b"content-length", str(len(_BODY)).encode())]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _BODY})


class _Nothing:
    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await self._app(scope, receive, send)


wrapped = _Nothing(bare)


def _guarded() -> Any:
    """Made when it is asked for, so that ``bare`` runs with nothing of Keyscope in its process."""
    middleware = importlib.import_module("keyscope.asgi").KeyscopeMiddleware
    return middleware(bare, database=os.environ["KEYSCOPE_DATABASE"], policy="runloop")


def __getattr__(name: str) -> Any:
    if name == "guarded":
        return _guarded()
    raise AttributeError(name)
