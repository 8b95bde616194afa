"""JSON-RPC 2.0 as MCP speaks it: one message of exactly one kind, and errors in its form.

A message that two programs could take for two things is refused: members that the specification does not know, an id
that is neither text nor a whole number, and parameters whose names differ only in case (a parser that ignores case
would take the other one). Batches, which one old revision of MCP had, are refused too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum
from typing import TypeAlias

from msgspec import Struct

from keyscope.errors import BadRequest, Fault, HeaderMismatch
from keyscope.model.body import Json
from keyscope.wire.codec import encode
from keyscope.wire.problem import Answer

Id: TypeAlias = "str | int | None"

INVALID_REQUEST = -32600
HEADER_MISMATCH = -32020
"""These two are from the specifications, the others from the range that MCP leaves to implementations."""
REFUSED = -32010
"""The key is not good, or may not do this (HTTP 401 and 403)."""
UNAVAILABLE = -32011
"""Keyscope or the server behind it cannot answer at the moment (HTTP 5xx)."""

_BATCH = "a batch; send each message in a request of its own"


class Kind(Enum):
    """What a message is."""

    REQUEST = "request"
    NOTIFICATION = "notification"
    RESPONSE = "response"


_MEMBERS: Mapping[frozenset[str], Kind] = {
    frozenset({"jsonrpc", "id", "method"}): Kind.REQUEST,
    frozenset({"jsonrpc", "id", "method", "params"}): Kind.REQUEST,
    frozenset({"jsonrpc", "method"}): Kind.NOTIFICATION,
    frozenset({"jsonrpc", "method", "params"}): Kind.NOTIFICATION,
    frozenset({"jsonrpc", "id", "result"}): Kind.RESPONSE,
    frozenset({"jsonrpc", "id", "error"}): Kind.RESPONSE,
}


class Message(Struct, frozen=True):
    """One message. ``method`` is empty and ``params`` too for a response."""

    kind: Kind
    id: Id
    method: str
    params: Mapping[str, Json]


def message_of(value: Json) -> Message:
    """The message that a strictly read value is. Raises BadRequest, with every fault."""
    if not isinstance(value, dict):
        raise _bad("$", _BATCH if isinstance(value, list) else "this is not a JSON-RPC message")
    kind = _MEMBERS.get(frozenset(value))
    if kind is None:
        raise _bad("$", "the members are not those of one JSON-RPC request, notification or response")
    if value["jsonrpc"] != "2.0":
        raise _bad("$.jsonrpc", 'write "2.0"')
    method = value.get("method", "")
    if not isinstance(method, str):
        raise _bad("$.method", "the method is text")
    return Message(kind, _id(value.get("id"), kind), method, members_of(value.get("params", {}), "$.params"))


def members_of(value: Json, path: str) -> Mapping[str, Json]:
    """An object no two of whose names differ only in case. Raises BadRequest."""
    if not isinstance(value, dict):
        raise _bad(path, "this is an object")
    if len({name.casefold() for name in value}) < len(value):
        raise _bad(path, "two names in it differ only in case")
    return value


def text_of(value: Json, path: str) -> str:
    """A text. Raises BadRequest."""
    if not isinstance(value, str):
        raise _bad(path, "this is text, and must be there")
    return value


def id_in(value: Json) -> Id:
    """The id of what may not even be a message, for answering it; None if there is none to be had."""
    found = value.get("id") if isinstance(value, dict) else None
    return found if isinstance(found, str | int) and not isinstance(found, bool) else None


def rpc_answer(local: Answer, request_id: Id) -> Answer:
    """A local answer to an error, as a JSON-RPC error. Status and challenge stay; the problem becomes its data."""
    problem = json.loads(local.body)
    error = {"code": _code(problem["code"], local.status), "message": problem["message"], "data": problem}
    body = encode({"jsonrpc": "2.0", "id": request_id, "error": error})
    kept = [header for header in local.headers if header[0] not in (b"content-type", b"content-length")]
    about = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    return Answer(local.status, (*about, *kept), body)


def _code(problem: str, status: int) -> int:
    if status >= 500:
        return UNAVAILABLE
    if problem == HeaderMismatch.code:
        return HEADER_MISMATCH
    return REFUSED if status in (401, 403) else INVALID_REQUEST


def _id(value: Json, kind: Kind) -> Id:
    if kind is Kind.NOTIFICATION:
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise _bad("$.id", "an id is text or a whole number")
    return value


def _bad(path: str, why: str) -> BadRequest:
    return BadRequest(why, [Fault(path, why)])
