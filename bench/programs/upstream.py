"""An API behind the gate: takes and gives large bodies, and holds event streams open.

``python -m bench.programs.upstream PORT``. ``POST /v1/sink`` counts the body's bytes; ``GET /v1/source?BYTES`` gives so
many; ``GET /v1/stream`` answers with an event and stays open; ``POST /v1/shout`` sends an event to all open streams.
"""

from __future__ import annotations

import asyncio
import sys

import uvloop
from aiohttp import web

_PIECE = bytes(1 << 18)
_open: set[asyncio.Queue[bytes]] = set()


async def sink(request: web.Request) -> web.Response:
    count = 0
    async for piece in request.content.iter_any():
        count += len(piece)
    return web.json_response({"bytes": count})


async def source(request: web.Request) -> web.StreamResponse:
    left = int(request.query_string)
    response = web.StreamResponse(headers={"content-length": str(left)})
    await response.prepare(request)
    while left:
        piece = _PIECE[:left]
        await response.write(piece)
        left -= len(piece)
    return response


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"content-type": "text/event-stream"})
    await response.prepare(request)
    events: asyncio.Queue[bytes] = asyncio.Queue()
    events.put_nowait(b"data: open\n\n")
    _open.add(events)
    try:
        while True:
            await response.write(await events.get())
    finally:
        _open.discard(events)


async def shout(_: web.Request) -> web.Response:
    for events in _open:
        events.put_nowait(b"data: shout\n\n")
    return web.json_response({"streams": len(_open)})


def application() -> web.Application:
    made = web.Application(client_max_size=0)
    made.router.add_post("/v1/sink", sink)
    made.router.add_get("/v1/source", source)
    made.router.add_get("/v1/stream", stream)
    made.router.add_post("/v1/shout", shout)
    return made


if __name__ == "__main__":
    web.run_app(
        application(),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop=uvloop.new_event_loop(),
        print=None,
        access_log=None,
        backlog=2048,
    )
