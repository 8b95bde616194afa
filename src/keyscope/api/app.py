"""The management application: routes, their errors, and the OpenAPI document."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response
from pydantic.json_schema import models_json_schema
from starlette.exceptions import HTTPException

from keyscope import __version__, errors
from keyscope.api.audit import AuditRoutes
from keyscope.api.authzen import AccessRoutes
from keyscope.api.blast import BlastRoutes
from keyscope.api.caller import ADMITTED, Answered, Desk, call_of, note_forbidden
from keyscope.api.changes import ChangeRoutes
from keyscope.api.documented import BODY_MODELS
from keyscope.api.ending import EndingRoutes
from keyscope.api.holds import HoldRoutes
from keyscope.api.introspection import TokenRoutes
from keyscope.api.keys import KeyRoutes
from keyscope.api.leaks import GITHUB, LeakRoutes
from keyscope.api.life import LifeRoutes
from keyscope.api.me import MeRoutes
from keyscope.api.metrics import MetricRoutes
from keyscope.api.receipts import ReceiptRoutes
from keyscope.api.replies.service import Problem
from keyscope.api.rules import RuleRoutes
from keyscope.api.runs import RunRoutes
from keyscope.api.service import ServiceRoutes
from keyscope.api.tightening import TighteningRoutes
from keyscope.api.verify import VerifyRoutes
from keyscope.api.webhooks import WebhookRoutes
from keyscope.model.token import Kind
from keyscope.wire.asgi import App, Receive, Scope, Send, send_answer
from keyscope.wire.own import API_KEYS, RESTRICTED_KEYS, WELL_KNOWN, is_console
from keyscope.wire.problem import Answer, answer

log = logging.getLogger(__name__)

_PUBLIC = frozenset({"/keyscope/healthz", "/keyscope/readyz", GITHUB}) | WELL_KNOWN


class Management:
    """Everything on Keyscope's own paths: the plain handlers, and the management application for the rest."""

    def __init__(self, desk: Desk, reports: LeakRoutes, console: App | None = None) -> None:
        self._console = console
        tokens, access = TokenRoutes(desk), AccessRoutes(desk)
        self._plain = {**tokens.plain, **access.plain}
        self._app = _make_app(desk, (tokens.router, access.router, reports.router))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = scope["keyscope.call"]
        if self._console is not None and is_console(call.path):
            await self._console(scope, receive, send)
            return
        plain = self._plain.get(call.path) if call.method == "POST" else None
        if plain is not None:
            await send_answer(send, await plain(call, receive))
        else:
            await self._app(scope, receive, send)


def _make_app(desk: Desk, more: Sequence[APIRouter]) -> FastAPI:
    app = FastAPI(
        title="Keyscope",
        version=__version__,
        description="A restricted-key authority: keys that can do less, and proof of what each may do.",
        docs_url=None,
        redoc_url=None,
        openapi_url="/keyscope/openapi.json",
        redirect_slashes=False,
    )
    app.include_router(KeyRoutes(desk, Kind.RESTRICTED, RESTRICTED_KEYS).router)
    app.include_router(KeyRoutes(desk, Kind.STANDARD, API_KEYS).router)
    app.include_router(LifeRoutes(desk, Kind.RESTRICTED, RESTRICTED_KEYS).router)
    app.include_router(LifeRoutes(desk, Kind.STANDARD, API_KEYS).router)
    app.include_router(BlastRoutes(desk, Kind.RESTRICTED, RESTRICTED_KEYS).router)
    app.include_router(BlastRoutes(desk, Kind.STANDARD, API_KEYS).router)
    app.include_router(TighteningRoutes(desk, RESTRICTED_KEYS).router)
    app.include_router(EndingRoutes(desk).router)
    app.include_router(ReceiptRoutes(desk).router)
    app.include_router(RuleRoutes(desk).router)
    app.include_router(MetricRoutes(desk).router)
    app.include_router(WebhookRoutes(desk).router)
    app.include_router(MeRoutes(desk).router)
    app.include_router(RunRoutes(desk).router)
    app.include_router(HoldRoutes(desk).router)
    app.include_router(VerifyRoutes(desk).router)
    app.include_router(ChangeRoutes(desk).router)
    app.include_router(AuditRoutes(desk).router)
    for router in more:
        app.include_router(router)
    app.include_router(ServiceRoutes(desk, app).router)
    app.add_exception_handler(Answered, _answered)
    app.add_exception_handler(errors.KeyscopeError, _refusing(desk))
    app.add_exception_handler(HTTPException, _http_handler(desk.verifier.methods))
    app.add_exception_handler(Exception, _broken)
    app.openapi = lambda: _document(app, desk)  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    return app


def _respond(local: Answer) -> Response:
    response = Response(local.body, local.status)
    response.raw_headers = list(local.headers)
    return response


async def _answered(_: Request, error: Exception) -> Response:
    assert isinstance(error, Answered)  # noqa: S101  (registered for this type alone)
    return _respond(error.answer)


def _refusing(desk: Desk) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Answers errors by the one table."""

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, errors.KeyscopeError)  # noqa: S101  (registered for this type alone)
        if isinstance(error, errors.Unavailable):
            log.error("unavailable: %s", error.detail)
        if isinstance(error, errors.Forbidden) and ADMITTED in request.scope:
            note_forbidden(desk, error, call_of(request), request.scope[ADMITTED])
        return _respond(answer(error))

    return handle


def _http_handler(methods: Callable[[str], Sequence[str]]) -> Callable[[Request, Exception], Awaitable[Response]]:
    """Answers the router's own 404 and 405."""

    async def handle(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101  (registered for this type alone)
        if error.status_code != 405:
            return _respond(answer(errors.NotFound()))
        # The router names only the methods of the first route that fits; the table knows all.
        allow = methods(request.url.path) or (error.headers or {}).get("Allow", "").split(", ")
        return _respond(answer(errors.MethodNotAllowed(), allow=allow))

    return handle


async def _broken(_: Request, error: Exception) -> Response:
    log.error("a management call failed", exc_info=error)
    return _respond(answer(errors.InternalError()))


def _document(app: FastAPI, desk: Desk) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        _add_schemas(document, desk)
        _add_security(document)
        app.openapi_schema = document
    return app.openapi_schema


def _add_schemas(document: dict[str, Any], desk: Desk) -> None:
    models = [(model, "validation") for model in (*BODY_MODELS.values(), Problem)]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    components = document.setdefault("components", {}).setdefault("schemas", {})
    components.update(schemas["$defs"])
    components["ScopeEntry"]["properties"]["resource_type"]["enum"] = list(desk.wire_types)


def _add_security(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            operation["security"] = [] if path in _PUBLIC else [{"key": []}]
            operation["responses"].pop("422", None)
