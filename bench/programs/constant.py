"""Keyscope's server, as Keyscope sets it up, with an application that always gives the answer of an allowed call.

``python -m bench.programs.constant PORT``: what is left between its speed and Keyscope's is the verification.
"""

from __future__ import annotations

import sys
from typing import Any, cast

import uvloop

from keyscope.serving.server import _server  # the point is to measure these very settings
from keyscope.settings import parse_settings
from keyscope.wire.asgi import Receive, Scope, Send

_HEADERS = [
    (b"x-keyscope-key-id", b"key_" + b"0" * 22),
    (b"x-keyscope-account-id", b"acct_bench"),
    (b"content-length", b"0"),
    (b"cache-control", b"no-store"),
]


async def constant(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["method"] == "POST":
        await receive()  # the whole body: it is small
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": b""})


async def _serve(port: str) -> None:
    settings = parse_settings({"port": port}, {})
    await _server(settings, cast(Any, constant), None).serve()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
