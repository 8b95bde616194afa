"""Questions and answers of ``POST /keyscope/verify`` as values. An answer that is not whole is none."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from keyscope.errors import AuthorityRefused, AuthorityUnavailable, BadRequest, Fault
from keyscope.model.body import Json
from keyscope.model.objection import Reason
from keyscope.model.scope import Scope

VERIFY = "/keyscope/verify"


class Bound(Struct, frozen=True, kw_only=True):
    """The restrictions of one key of the line, or of one link of a derived key: ``holder`` is its id."""

    holder: str
    restrictions: dict[str, Any]


class Objection(Struct, frozen=True, kw_only=True):
    """What a restriction of ``holder`` has against the call, and what would help. ``hides``: say that there is no such
    thing. ``wait_ms``: after how many milliseconds the same call may pass, if it is only a matter of time.
    """

    reason: str
    holder: str
    message: str
    remedy: str
    hides: bool = False
    wait_ms: int | None = None


class KeyInfo(Struct, frozen=True, kw_only=True):
    """What the key is. Scopes and expiry (Unix milliseconds) are what its ancestors leave of them.

    ``restrictions`` are those of its whole line, nearest first.
    """

    id: str
    name: str
    kind: str
    account_id: str
    full_access: bool
    scopes: tuple[str, ...]
    expires_at_ms: int | None
    derived_id: str | None
    restrictions: tuple[Bound, ...] = ()


class Answer(Struct, frozen=True, kw_only=True):
    """What the server said of a key and a call. It is true exactly if the call is allowed.

    ``valid`` says whether the key is good at all; if not, nothing else is known of it. ``reasons``,
    ``missing_scopes``, ``message`` and ``next`` are those of the gate's 403. ``observed_scopes`` are scopes that the
    key lacks for an allowed call, because it is observed; the server has written that down.
    """

    valid: bool
    allowed: bool
    key: KeyInfo | None
    chain: tuple[str, ...]
    operation: str | None
    judged_by_body: bool
    reasons: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    message: str
    next: tuple[str, ...]
    now_ms: int
    observed_scopes: tuple[str, ...] = ()
    objections: tuple[Objection, ...] = ()

    def __bool__(self) -> bool:
        return self.allowed

    @property
    def is_hidden(self) -> bool:
        """Whether what is asked for is to be answered as if it did not exist."""
        return self.reasons == (Reason.NOT_OWN,) and all(objection.hides for objection in self.objections)


class Question(Struct, frozen=True):
    """All that an answer depends on. The key by its SHA-256 digest: a cache holds no secrets."""

    digest: bytes
    method: str
    path: str
    scopes: tuple[str, ...]


def question(key: str, method: str | None, path: str | None, scopes: Sequence[Scope | str]) -> Question:
    """Raises ValueError for a scope that is none, and for a method without a path."""
    if (method is None) != (path is None):
        raise ValueError("method and path go together")
    wanted = tuple(str(scope if isinstance(scope, Scope) else Scope.parse(scope)) for scope in scopes)
    return Question(sha256(key.encode("utf-8", "replace")).digest(), method or "", path or "", wanted)


def body_of(asked: Question, key: str, body: Json | UnsetType = UNSET, peer: str | None = None) -> bytes:
    """The question as the server takes it. Here alone the key itself stands in it.

    ``peer`` matters only to keys with restrictions, whose answers are never kept, so it is no part of what is kept by.
    """
    members: dict[str, object] = {"key": key}
    if asked.method:
        members |= {"method": asked.method, "path": asked.path}
    if asked.scopes:
        members["scopes"] = [Scope.parse(scope).entry for scope in asked.scopes]
    if peer is not None:
        members["peer"] = peer
    if body is not UNSET:
        members["body"] = body
    return msgspec.json.encode(members)


def read_answer(status: int, raw: bytes) -> Answer:
    """The server's answer. Raises AuthorityUnavailable, AuthorityRefused, and BadRequest for what is no question."""
    if status in (401, 403):
        raise AuthorityRefused(f"the server answered {status}: give the asking key read on keys")
    if status == 400:
        raise BadRequest("question", _faults(raw))
    if status != 200:
        raise AuthorityUnavailable(f"the server answered {status}")
    try:
        answer = _decode(raw)
    except msgspec.DecodeError:
        raise AuthorityUnavailable("the server's answer is not one of a Keyscope server") from None
    if answer.allowed and not (answer.valid and answer.key is not None and answer.chain):
        raise AuthorityUnavailable("the server's answer contradicts itself")
    return answer


_decode = msgspec.json.Decoder(Answer).decode


class _Problem(Struct):
    faults: list[dict[str, str]] = []


def _faults(raw: bytes) -> list[Fault]:
    try:
        found = msgspec.json.decode(raw, type=_Problem).faults
    except msgspec.DecodeError:
        found = []
    return [Fault(fault.get("path", "$"), fault.get("message", "")) for fault in found]
