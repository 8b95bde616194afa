"""What every service has: health, readiness, its OpenAPI document and a page to read it on. None needs a key."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, Response

from keyscope import __version__
from keyscope.api.caller import Desk, json_reply
from keyscope.api.documented import responses
from keyscope.api.replies.service import Health, Ready

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color-scheme:light dark}"
    "code{font-family:ui-monospace,monospace}td,th{text-align:left;padding:.3rem .8rem .3rem 0;vertical-align:top}"
)
_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
}


class ServiceRoutes:
    """``/keyscope/healthz``, ``/readyz`` and ``/docs``."""

    def __init__(self, desk: Desk, app: FastAPI) -> None:
        self._desk = desk
        self._app = app
        self.router = APIRouter(prefix="/keyscope", tags=["service"])
        add = self.router.add_api_route
        add("/healthz", self.healthz, methods=["GET"], operation_id="health",
            responses={200: {"model": Health}})  # fmt: skip
        add("/readyz", self.readyz, methods=["GET"], operation_id="readiness", responses=responses(Ready))
        add("/docs", self.docs, methods=["GET"], include_in_schema=False)

    async def healthz(self) -> Response:
        """The process runs."""
        return json_reply({"status": "ok", "version": __version__})

    async def readyz(self) -> Response:
        """The store can be read, so requests can be judged; 503 otherwise."""
        self._desk.check()
        stale_ms = self._desk.stale_ms()
        stale = {"stale_ms": stale_ms} if stale_ms is not None else {}
        return json_reply({"status": "ok", "version": __version__, **stale})

    async def docs(self) -> Response:
        """The operations of this server, for people."""
        return HTMLResponse(_page(self._app.openapi()), headers=_HEADERS)


def _page(document: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(method.upper())} {escape(path)}</code></td>"
        f"<td>{escape(operation.get('description', ''))}</td>"
        f"<td>{escape(', '.join(operation['responses']))}</td></tr>"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>Keyscope API</title><style>{_STYLE}</style>"
        f"<h1>Keyscope {escape(__version__)}</h1><p>Send a key as <code>Authorization: Bearer …</code>. The same, for "
        f'programs: <a href="/keyscope/openapi.json">openapi.json</a>. What the API behind the gate needs: '
        f"<code>GET /keyscope/operations</code>.</p>"
        f"<table><thead><tr><th>Operation<th>What it does<th>Statuses</tr></thead><tbody>{rows}</tbody></table></html>"
    )
