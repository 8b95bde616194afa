"""Builds whose management API is lax: minting, bodies, repeated requests, and what answers say."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import keyscope.api.caller
import keyscope.api.introspection
import keyscope.api.requests
import keyscope.authority.mint
import keyscope.authority.replay
import keyscope.errors
import keyscope.gate.admit
import keyscope.gate.forward
import keyscope.store.session
import keyscope.wire.body
import keyscope.wire.problem
import keyscope.wire.refusal
from keyscope.authority.limits import Limits
from keyscope.errors import InsufficientScope, MissingCredential
from keyscope.model.access import Access
from keyscope.model.decision import Allow
from keyscope.store.rows import reply_of
from keyscope.wire.bearer import find_bearer
from keyscope.wire.problem import Answer, Refusal
from tests.attacks.broken.build import broken, part, swap

caller, requests, mint = keyscope.api.caller, keyscope.api.requests, keyscope.authority.mint
problem = keyscope.wire.problem
introspection: Any = keyscope.api.introspection


@broken("a child may have any scopes", "esc-011:api")
def _() -> None:
    swap(mint, "check_scopes", lambda scopes, above: None)


@broken("a child may outlive its parent", "esc-014:api")
def _() -> None:
    swap(mint, "end_of", lambda above: None)


@broken("restricted keys mint standard ones", "esc-016:api", "esc-017:api")
def _() -> None:
    old = mint.Minting.__init__

    def lax(self: Any, store: Any, clock: Any, entropy: Any, _: Any = None) -> None:
        old(self, store, clock, entropy, Limits(restricted_may_mint_standard=True))

    swap(mint.Minting, "__init__", lax)


@broken("minting needs no scope and has no bounds", "esc-002:api", "esc-005:api")
def _() -> None:
    old = part(caller, "admit")
    swap(mint, "check_scopes", lambda scopes, above: None)

    def lax(verifier: Any, asked: Any, *more: Any) -> Any:
        outcome = old(verifier, asked, *more)
        if isinstance(outcome, Answer):
            return Allow(verifier.live(find_bearer(asked.headers)), Access(None, (), 0))
        return outcome

    swap(caller, "admit", lax)


def _body(change: Callable[[Any], Any]) -> None:
    """Read bodies leniently, and change them before they are checked."""
    old = part(caller, "parse")
    swap(
        caller,
        "parse",
        lambda raw, model, context: old(json.dumps(change(json.loads(raw or b"{}"))).encode(), model, context),
    )


@broken("the last of two members counts", "bdy-062:api", "bdy-063:api")
def _() -> None:
    _body(lambda body: body)


@broken("unknown members are ignored", "esc-023:api")
def _() -> None:
    _body(lambda body: {name: value for name, value in body.items() if name in ("name", "expires_at_ms")})


@broken("unknown members of a scope are ignored", "bdy-027:api")
def _() -> None:
    def change(body: Any) -> Any:
        known = ("resource_type", "access_level")
        body["scopes"] = [{name: value for name, value in entry.items() if name in known} for entry in body["scopes"]]
        return body

    _body(change)


@broken("unknown scopes are left out", "bdy-007:api", "bdy-009:api")
def _() -> None:
    def change(body: Any) -> Any:
        body["scopes"] = [entry for entry in body["scopes"] if entry["resource_type"] == "RESOURCE_TYPE_DEVBOXES"]
        return body

    _body(change)


@broken("an unknown level counts as READ", "bdy-008:api", "bdy-012:api")
def _() -> None:
    def change(body: Any) -> Any:
        for entry in body["scopes"]:
            if entry["access_level"] not in ("ACCESS_LEVEL_NONE", "ACCESS_LEVEL_READ", "ACCESS_LEVEL_WRITE"):
                entry["access_level"] = "ACCESS_LEVEL_READ"
        return body

    _body(change)


@broken("a wrong expiry means none", "bdy-042:api", "bdy-043:api", "bdy-044:api")
def _() -> None:
    def change(body: Any) -> Any:
        if type(body.get("expires_at_ms")) is not int:
            body.pop("expires_at_ms", None)
        return body

    _body(change)


@broken("null and lists count as an empty body", "bdy-073:api", "bdy-074:api")
def _() -> None:
    _body(lambda body: body or {})


@broken("a name may hold control characters", "bdy-055:api")
def _() -> None:
    swap(requests, "_UNPRINTABLE", frozenset())


@broken("any content type will do", "bdy-079:api", "bdy-081:api")
def _() -> None:
    swap(keyscope.wire.body, "check_media_type", lambda headers, wanted: None)


@broken("a request id is shared by all callers", "cch-011:api")
def _() -> None:
    session = keyscope.store.session

    def reply(self: Any, caller_id: str, request_id: str) -> Any:
        row = self._connection.execute("SELECT * FROM replies WHERE request_id = ?", (request_id,)).fetchone()
        return reply_of(row) if row is not None else None

    swap(session.SqlReader, "reply", reply)


@broken("a request id answers for every body", "cch-012:api")
def _() -> None:
    swap(keyscope.authority.replay.Repeatable, "digest", property(lambda self: bytes(32)))


@broken("a denial is 429", "scp-003", "esc-002:api")
def _() -> None:
    statuses = {**problem.STATUSES, InsufficientScope: HTTPStatus.TOO_MANY_REQUESTS}
    swap(problem, "STATUSES", statuses)


@broken("a refusal may be cached", "hdr-058")
def _() -> None:
    swap(problem, "NO_STORE", (b"x-nothing", b"here"))


@broken("a challenge to nobody has an error code", "scp-001")
def _() -> None:
    old = problem._challenge

    def challenge(error: Any, refusal: Any) -> Any:
        if isinstance(error, MissingCredential):
            return [(b"www-authenticate", b'Bearer realm="keyscope", error="invalid_token"')]
        return old(error, refusal)

    swap(problem, "_challenge", challenge)


@broken("an answer tells why a key is not good", "scp-046")
def _() -> None:
    old = keyscope.wire.refusal.refusal

    def tell(denied: Any, method: str, path: str) -> Answer:
        if denied.is_dead:
            return problem.answer(keyscope.errors.InvalidToken(), Refusal(message=f"The key is {denied.reasons[0]}."))
        return old(denied, method, path)

    swap(keyscope.gate.admit, "refusal", tell)


@broken("introspection tells everybody", "oau-009:api")
def _() -> None:
    def lax(desk: Any, call: Any) -> Any:
        return desk.verifier.live(find_bearer(call.headers))

    swap(introspection, "asking", lax)


@broken("introspection knows the keys of all accounts", "oau-005:api")
def _() -> None:
    old = introspection.TokenRoutes._described

    def described(self: Any, token: bytes, _: str, call: Any) -> Any:
        try:
            account_id = self._desk.verifier.live(token).key.account_id
        except keyscope.errors.InvalidToken:
            account_id = ""
        return old(self, token, account_id, call)

    swap(introspection.TokenRoutes, "_described", described)


@broken("introspection says why a key is not good", "oau-004:api")
def _() -> None:
    old = introspection.TokenRoutes._described

    def described(self: Any, token: bytes, account_id: str, call: Any) -> Any:
        try:
            lineage = self._desk.verifier.find(token)
        except keyscope.errors.InvalidToken:
            return old(self, token, account_id, call)
        members = self._members(lineage, call)
        members["active"] = self._desk.clock.now_ms() < lineage.expires_at_ms
        return introspection.json_answer(json.dumps(members).encode())

    swap(introspection.TokenRoutes, "_described", described)


@broken("revocation answers and ends nothing", "oau-011:api")
def _() -> None:
    old = introspection.TokenRoutes._living

    def living(self: Any, token: bytes, account_id: str) -> None:
        old(self, token, account_id)

    swap(introspection.TokenRoutes, "_living", living)


@broken("a token in the query will do", "oau-007:api")
def _() -> None:
    old = introspection.TokenRoutes._token

    async def token(self: Any, call: Any, receive: Any) -> Any:
        if call.query:
            return bytes(call.query).partition(b"token=")[2]
        return await old(self, call, receive)

    swap(introspection.TokenRoutes, "_token", token)
