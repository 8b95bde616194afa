"""What the OpenAPI document says beyond the routes: bodies, list parameters, and the statuses each route may answer.

503 (the store cannot be used) and 500 stand everywhere.
"""

from __future__ import annotations

from types import UnionType
from typing import Any

from pydantic import BaseModel

from keyscope.model.key import State

_MEANINGS = {
    400: "The request is not valid; `faults` names every place.",
    401: "No key, or one that is not valid.",
    403: "The key may not do this; `missing_scopes` says what it lacks.",
    404: "There is no such thing in this account.",
    409: "The request id was used with another request.",
    413: "The body is too large.",
    415: "The body is not JSON.",
    503: "Keyscope cannot decide at the moment.",
}
_PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}

BODY_MODELS: dict[str, type[BaseModel]] = {}
"""The request models that the document describes, by name."""


def responses(model: type[BaseModel] | UnionType, *problems: int) -> dict[int | str, dict[str, Any]]:
    """The reply's model and the problems that the route may answer with."""
    return {200: {"model": model, "description": "OK"}, **refusals(*problems)}


def refusals(*problems: int) -> dict[int | str, dict[str, Any]]:
    """The problems that a route may answer with."""
    return {status: {"description": _MEANINGS[status], "content": _PROBLEM} for status in (*problems, 503)}


def BODY(*models: type[BaseModel], required: bool = False) -> dict[str, Any]:  # noqa: N802  (reads as a constant)
    """A JSON request body of this model, or of one of these."""
    BODY_MODELS.update((model.__name__, model) for model in models)
    refs = [{"$ref": f"#/components/schemas/{model.__name__}"} for model in models]
    schema = refs[0] if len(refs) == 1 else {"oneOf": refs}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}


def parameter(name: str, about: str, schema: dict[str, Any], *, required: bool = False) -> dict[str, Any]:
    """One query parameter."""
    return {"name": name, "in": "query", "required": required, "description": about, "schema": schema}


def header(name: str, about: str) -> dict[str, Any]:
    """One header field that may be sent."""
    return {"name": name, "in": "header", "required": False, "description": about, "schema": _TEXT}


_TEXT = {"type": "string"}
_MS = {"type": "integer", "format": "int64", "minimum": 0, "maximum": 253_402_300_799_999}

_WAIT = "`wait=N`: the answer waits for other nodes N seconds at most (RFC 7240)"
WAITING = {"parameters": [header("Prefer", f"{_WAIT}; as long as the settings say if left out.")]}
RECEIPT_PARAMETERS = [
    header("Prefer", f"{_WAIT}; not at all if left out."),
    header("If-None-Match", "The `ETag` of a receipt that is known: the answer comes once there is another one."),
]

TREE_PARAMETERS = [
    parameter("limit", "How many, 1 to 5000.", {"type": "integer", "minimum": 1, "maximum": 5000, "default": 5000}),
    parameter("starting_after", "The id of the last key of the page before.", _TEXT),
]

SUGGESTION_PARAMETERS = [
    parameter("since_ms", "The calls since then, Unix milliseconds; of the last 30 days if left out.", _MS),
]

LIST_PARAMETERS = [
    parameter("limit", "How many, 1 to 5000.", {"type": "integer", "minimum": 1, "maximum": 5000, "default": 20}),
    parameter("starting_after", "The id of the last key of the page before.", _TEXT),
    parameter("include_total_count", "`false` leaves the count out.", {"type": "boolean", "default": True}),
    parameter("name", "A part of the name.", _TEXT),
    parameter("status", "The state now.", {"type": "string", "enum": [state.value for state in State]}),
    parameter("resource_type", "Only keys whose scopes reach this type.", _TEXT),
    parameter("created_by", "The id of the key that minted it.", _TEXT),
    parameter("expires_before_ms", "Unix milliseconds.", _MS),
    parameter("last_used_before_ms", "Unix milliseconds; keys never used are included.", _MS),
]
