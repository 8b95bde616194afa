"""A FastAPI application whose routes say what they need, which makes its policy; and a plain Starlette one."""

from __future__ import annotations

import os
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Security, WebSocket
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from keyscope.asgi import Caller, KeyscopeMiddleware
from keyscope.fastapi import describe, policy_of, requires, requires_scopes


def shop() -> FastAPI:
    app = FastAPI(title="A shop", redirect_slashes=False)
    orders = APIRouter(prefix="/orders", dependencies=[Depends(requires("orders:read"))])

    @orders.get("")
    async def list_orders(caller: Annotated[Caller, Depends(requires("orders:read"))]) -> dict[str, str]:
        return {"for": caller.key_id}

    @orders.post("/{order_id}/refund", dependencies=[Security(requires("orders:write", "money:write"))])
    async def refund(order_id: str) -> dict[str, str]:
        return {"refunded": order_id}

    app.include_router(orders)

    @app.get("/me")
    async def me(caller: Annotated[Caller, Depends(requires())]) -> dict[str, str]:
        return {"key": caller.key_id}

    @app.get("/forgotten")
    async def forgotten() -> dict[str, str]:
        return {"anybody": "with a standard key"}

    @app.websocket("/live")
    async def live(websocket: WebSocket, caller: Annotated[Caller, Depends(requires("orders:read"))]) -> None:
        await websocket.accept()
        await websocket.close()

    describe(app)
    return app


bare = shop()


def _guarded() -> FastAPI:
    app = shop()
    options: dict[str, Any] = {"database": os.environ["GUARD_DATABASE"], "policy": lambda: policy_of(app)}
    app.add_middleware(KeyscopeMiddleware, **options)
    return app


@requires_scopes("devboxes:write")
async def write(request: Request) -> PlainTextResponse:
    return PlainTextResponse(request.scope["keyscope"].key_id)


starlette = Starlette(routes=[Route("/v1/devboxes", write)])

if "GUARD_DATABASE" in os.environ:
    guarded = _guarded()
    guarded_starlette = KeyscopeMiddleware(
        starlette,
        database=os.environ["GUARD_DATABASE"],
        policy="runloop",
    )
