"""Scopes on FastAPI's and Starlette's routes (docs/in-process.md).

``requires`` enforces on what the middleware put into the scope, and on nothing else: without the middleware it refuses.
The OpenAPI document then says which scopes each operation needs, and so it makes the policy that the middleware uses.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Any

from fastapi import FastAPI, Request, Security
from fastapi.openapi.models import HTTPBearer as HTTPBearerModel
from fastapi.responses import Response
from fastapi.security.base import SecurityBase
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from keyscope.errors import InsufficientScope, Unavailable
from keyscope.gate.judge import Caller
from keyscope.gate.middleware import CALLER
from keyscope.model.scope import Scope
from keyscope.policy.annotated import policy_from_openapi
from keyscope.policy.document import Policy
from keyscope.policy.openapi import SCOPES, parse
from keyscope.wire.problem import Answer, Refusal, answer

__all__ = ["Caller", "describe", "policy_of", "requires", "requires_scopes"]

SCHEME = "keyscope"
_REFUSALS = {
    "401": "No key, or one that is not valid.",
    "403": "The key may not do this; `missing_scopes` says what it lacks.",
    "503": "Whether the key may do this cannot be decided at the moment.",
}


class Refused(HTTPException):
    """The gate's own answer, for an application that does not know it by ``describe`` in FastAPI's words."""

    def __init__(self, local: Answer) -> None:
        headers = {name.decode(): value.decode() for name, value in local.headers if name == b"www-authenticate"}
        super().__init__(local.status, json.loads(local.body)["message"], headers)
        self.local = local


class _Scheme(SecurityBase):
    """The document's word for a key. It reads nothing: the middleware has taken the credential away."""

    def __init__(self) -> None:
        self.model = HTTPBearerModel(description="A Keyscope key.")
        self.scheme_name = SCHEME

    async def __call__(self) -> None:
        return None


_SCHEME = _Scheme()


def requires(*scopes: str) -> Callable[..., Awaitable[Caller]]:
    """A dependency that lets through only callers whose key covers all these scopes, and gives the Caller.

    ``Depends(requires("devboxes:write"))``. Without a scope any live key passes. Raises ValueError for a scope that is
    none.
    """
    needed = tuple(map(Scope.parse, scopes))

    async def enforce(
        connection: HTTPConnection,
        _: None = Security(_SCHEME, scopes=[str(scope) for scope in needed]),
    ) -> Caller:
        return caller_with(connection.scope, needed)

    return enforce


def requires_scopes(*scopes: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The same for plain Starlette: a decorator of an endpoint whose first parameter is the request or WebSocket."""
    needed = tuple(map(Scope.parse, scopes))

    def decorate(endpoint: Callable[..., Any]) -> Callable[..., Any]:
        if not inspect.iscoroutinefunction(endpoint):
            raise TypeError("requires_scopes takes an async endpoint")

        @wraps(endpoint)
        async def guarded(connection: HTTPConnection, *more: Any, **named: Any) -> Any:
            caller_with(connection.scope, needed)
            return await endpoint(connection, *more, **named)

        return guarded

    return decorate


def caller_with(scope: Mapping[str, Any], needed: tuple[Scope, ...]) -> Caller:
    """The caller that the middleware let through, if its key covers these. Raises Refused."""
    caller = scope.get(CALLER)
    if not isinstance(caller, Caller):
        raise Refused(answer(Unavailable("no middleware let this call through")))
    missing = caller.missing(needed)
    if missing:
        named = ", ".join(map(str, missing))
        raise Refused(answer(InsufficientScope(), Refusal(message=f"The key lacks {named}.", missing=missing)))
    return caller


def describe(app: FastAPI) -> None:
    """Let the app's OpenAPI document say the scopes, and its refusals look like the gate's."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        return _annotated(made())

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    app.add_exception_handler(Refused, _refused)


def policy_of(app: FastAPI) -> Policy:
    """The policy that the app's own routes make: each needs what its ``requires`` say.

    A route without one is left out, so only standard keys reach it. Raises ConfigurationError.
    """
    document = json.loads(json.dumps(_annotated(app.openapi())))
    for path, operations in document["paths"].items():
        document["paths"][path] = {method: row for method, row in operations.items() if SCOPES in row}
    return policy_from_openapi(parse(json.dumps(document), f"the app {app.title}"))


def _annotated(document: dict[str, Any]) -> dict[str, Any]:
    for operations in document.get("paths", {}).values():
        for operation in operations.values():
            named = [entry[SCHEME] for entry in operation.get("security", ()) if SCHEME in entry]
            if named:
                operation[SCOPES] = sorted({scope for scopes in named for scope in scopes})
                for status, about in _REFUSALS.items():
                    operation["responses"].setdefault(status, {"description": about})
    return document


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)  # noqa: S101  (registered for this type alone)
    response = Response(error.local.body, error.local.status)
    response.raw_headers = list(error.local.headers)
    return response
