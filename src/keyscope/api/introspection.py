"""OAuth's questions about a key: introspection (RFC 7662), revocation (RFC 7009) and where to find them (RFC 8414).

A key is what OAuth calls an access token, and the caller shows who it is with a key of its own (RFC 7662 section 2.1).
What the caller may not see does not exist: keys that are unknown, dead or of another account get one and the same
answer. Introspection says "no" with 200, so it shares no path with forward-auth.
"""

from __future__ import annotations

from functools import lru_cache

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from keyscope.api.caller import Answered, Desk, call_of, note_forbidden
from keyscope.api.plain import (
    Plain,
    asking,
    base_url,
    encode,
    endpoint,
    json_answer,
    read_content,
    refused,
    response_of,
    rewritten,
)
from keyscope.api.replies.shape import BoundView, bound_views
from keyscope.api.taking import everywhere
from keyscope.authority.receipts import confirm
from keyscope.authority.trail import Attempt
from keyscope.errors import BadRequest, Fault, Forbidden, InsufficientScope, InvalidToken, KeyscopeError
from keyscope.gate.admit import attempt_of
from keyscope.model.decision import Deny
from keyscope.model.event import Origin
from keyscope.model.key import NEVER_MS, Lineage
from keyscope.model.scope import Grant, Level, Scope
from keyscope.wire.asgi import Receive
from keyscope.wire.bearer import find_bearer
from keyscope.wire.call import Call, request_id
from keyscope.wire.form import MEDIA_TYPE, parse_form
from keyscope.wire.own import METADATA
from keyscope.wire.problem import NO_STORE, Answer
from keyscope.wire.refusal import refusal

INTROSPECT = "/keyscope/introspect"
REVOKE = "/keyscope/oauth/revoke"
REASON = "revoked through OAuth (RFC 7009)"

_INACTIVE = json_answer(b'{"active":false}')
_REVOKED = Answer(200, ((b"content-length", b"0"), NO_STORE), b"")
_ERRORS = {400: "invalid_request", 401: "invalid_client", 413: "invalid_request", 503: "temporarily_unavailable"}
_UNSENDABLE = str.maketrans({'"': "'", "\\": "/"})


class Introspection(BaseModel):
    """RFC 7662 section 2.2. ``exp`` and ``iat`` are Unix seconds. An inactive key has ``active`` and nothing else.

    A key that is restricted beyond its scopes has ``restrictions``, and an empty ``scope``: who goes by scopes alone
    must not let it do what they say. ``/keyscope/verify`` judges its calls.
    """

    model_config = ConfigDict(extra="forbid")

    active: bool
    scope: str | None = None
    client_id: str | None = None
    token_type: str | None = None
    exp: int | None = None
    iat: int | None = None
    sub: str | None = None
    jti: str | None = None
    iss: str | None = None
    account_id: str | None = None
    restrictions: list[BoundView] | None = None


class OAuthError(BaseModel):
    """RFC 6749 section 5.2."""

    error: str
    error_description: str


class ServerMetadata(BaseModel):
    """RFC 8414 section 2."""

    model_config = ConfigDict(extra="forbid")

    issuer: str
    introspection_endpoint: str
    introspection_endpoint_auth_methods_supported: list[str]
    revocation_endpoint: str
    revocation_endpoint_auth_methods_supported: list[str]
    response_types_supported: list[str]
    grant_types_supported: list[str]
    scopes_supported: list[str]


class TokenRoutes:
    """The two endpoints and their metadata. ``plain`` is what is answered without FastAPI."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._everything = _words(tuple(Scope(name, Level.WRITE) for name in desk.policy.resource_names))
        self.plain: dict[str, Plain] = {INTROSPECT: self.introspect, REVOKE: self.revoke}
        self.router = APIRouter(tags=["oauth"])
        add = self.router.add_api_route
        add(INTROSPECT, endpoint(self.introspect), methods=["POST"], operation_id="introspectToken",
            openapi_extra=_FORM, responses={200: {"model": Introspection}, **_PROBLEMS})  # fmt: skip
        add(REVOKE, endpoint(self.revoke), methods=["POST"], operation_id="revokeToken", openapi_extra=_FORM,
            response_class=Response,
            responses={200: {"description": "Revoked, or no such key."}, **_PROBLEMS})  # fmt: skip
        add(METADATA, self.metadata, methods=["GET"], operation_id="oauthMetadata",
            responses={200: {"model": ServerMetadata}})  # fmt: skip

    async def introspect(self, call: Call, receive: Receive) -> Answer:
        """What another key of the account is and may do (RFC 7662). One that is not active gets `{"active":false}`."""
        try:
            caller = asking(self._desk, call)
            token = await self._token(call, receive)
            return self._described(token, caller.key.account_id, call)
        except (KeyscopeError, Answered) as error:
            return _refused(error)

    async def revoke(self, call: Call, receive: Receive) -> Answer:
        """Revoke a key (RFC 7009): the calling one, or, with write on keys, another one that the caller manages."""
        try:
            caller = asking(self._desk, call)
            token = await self._token(call, receive)
            is_own = token == find_bearer(call.headers)
            if not is_own:
                self._check_manager(caller, call)
            account_id = caller.key.account_id
            target = self._living(token, account_id) or await self._living_by_now(token, account_id)
            if target is not None:
                origin = Origin(caller.chain, call.peer, request_id(call.headers))
                await self._end_or_note(target, caller, is_own, origin, call)
            return _REVOKED
        except (KeyscopeError, Answered) as error:
            return _refused(error)

    async def metadata(self, request: Request) -> Response:
        """Where introspection and revocation are (RFC 8414). Keyscope grants nothing, so it has no token endpoint."""
        base = base_url(self._desk, call_of(request).headers)
        document = {
            "issuer": base,
            "introspection_endpoint": base + INTROSPECT,
            "introspection_endpoint_auth_methods_supported": ["Bearer"],
            "revocation_endpoint": base + REVOKE,
            "revocation_endpoint_auth_methods_supported": ["Bearer"],
            "response_types_supported": [],
            "grant_types_supported": [],
            "scopes_supported": self._everything.split(),
        }
        return response_of(json_answer(encode(document)))

    async def _token(self, call: Call, receive: Receive) -> bytes:
        """The token of the form. Raises BadRequest and its children."""
        if call.query:  # a key in a query ends up in logs
            raise BadRequest("query", [Fault("query", "send the parameters in the body")])
        form = parse_form(await read_content(self._desk, call, receive, MEDIA_TYPE))
        if "access_token" in form:  # RFC 6750 section 2: one way to show a credential in a request
            raise BadRequest("two credentials", [Fault("body", "leave out access_token: the caller is in the header")])
        if "token" not in form:
            raise BadRequest("no token", [Fault("token", "send the key to ask about")])
        return form["token"].encode()

    def _described(self, token: bytes, account_id: str, call: Call) -> Answer:
        try:
            lineage = self._desk.verifier.live(token, Attempt(peer=call.peer, request_id=request_id(call.headers)))
        except InvalidToken:
            return _INACTIVE
        if lineage.key.account_id != account_id:
            return _INACTIVE
        return json_answer(encode(self._members(lineage, call)))

    def _members(self, lineage: Lineage, call: Call) -> dict[str, object]:
        key = lineage.key
        # A derived key never goes by the id of the key it came from: who then asked about that id would learn what the
        # wider key may do, and let the narrower one do it.
        name, client = (lineage.derived[-1], key.id) if lineage.derived else (key.id, key.parent_id or key.account_id)
        members: dict[str, object] = {
            "active": True,
            "scope": self._everything if lineage.grant is None else _grant_words(lineage.grant),
            "client_id": client,
            "token_type": "Bearer",
            "iat": key.created_at_ms // 1000,
            "sub": name,
            "jti": name,
            "iss": base_url(self._desk, call.headers),
            "account_id": key.account_id,
        }
        if lineage.bounds:
            members |= {"scope": "", "restrictions": bound_views(lineage)}
        if lineage.expires_at_ms < NEVER_MS:
            members["exp"] = lineage.expires_at_ms // 1000  # rounded down: nobody may take the key for longer-lived
        return members

    def _check_manager(self, caller: Lineage, call: Call) -> None:
        """Raise unless the caller may manage keys. Possession of a key alone ends only that key."""
        resource = self._desk.policy.key_management
        if resource is None:
            if caller.grant is not None:
                raise InsufficientScope("the policy lets only standard keys manage keys")
            return
        route = self._desk.verifier.route(call.matched_method, call.path)
        decision = self._desk.verifier.judge(caller, route, (Scope(resource, Level.WRITE),))
        if isinstance(decision, Deny):
            self._desk.verifier.note_denied(decision, attempt_of(call))
            raise Answered(refusal(decision, call.method, call.path))

    def _living(self, token: bytes, account_id: str) -> Lineage | None:
        """The key, if there is anything to end: of this account, and neither revoked nor past its own end."""
        try:
            # As stored: a revocation that failed before must be made durable now, not be taken for done.
            lineage = self._desk.verifier.stored(token)
        except InvalidToken:
            return None
        key, now_ms = lineage.key, self._desk.clock.now_ms()
        # An earlier secret past its end is no key any more: showing it must not end the key that has a new one.
        ended = key.revoked_at_ms is not None or now_ms >= min(key.ends_at_ms, lineage.expires_at_ms)
        return None if ended or key.account_id != account_id else lineage

    async def _living_by_now(self, token: bytes, account_id: str) -> Lineage | None:
        """The same once every node has all that was written before, as after a revocation that failed half-way.

        Only then is it true that a dead key is accepted nowhere, and that an unknown one is none of another node's.
        """
        await everywhere(lambda: confirm(self._desk.store))
        return self._living(token, account_id)

    async def _end_or_note(self, target: Lineage, caller: Lineage, is_own: bool, origin: Origin, call: Call) -> None:
        try:
            await self._end(target, caller, is_own, origin)
        except Forbidden as error:
            note_forbidden(self._desk, error, call, caller)
            raise

    async def _end(self, target: Lineage, caller: Lineage, is_own: bool, origin: Origin) -> None:
        """Once this returns, the key is dead, durably. Raises OutsideTree, DerivedKey and StoreUnavailable."""
        desk, key = self._desk, target.key
        if target.derived and is_own:
            await everywhere(lambda: desk.derivation.revoke_self(caller, REASON, origin))
        elif target.derived:
            link_id = target.derived[-1]
            await everywhere(lambda: desk.derivation.revoke(caller, key.kind, key.id, link_id, REASON, origin))
        else:
            await everywhere(lambda: desk.lifecycle.revoke(caller, key.kind, key.id, REASON, origin))


def _refused(error: KeyscopeError | Answered) -> Answer:
    """The error in OAuth's form (RFC 6749 section 5.2); its text has no character that the RFC forbids."""
    local, code, message = refused(error)
    name = _ERRORS.get(local.status) or (code if code == InsufficientScope.code else "unauthorized_client")
    described = message.translate(_UNSENDABLE).encode("ascii", "replace").decode()
    return rewritten(local, encode({"error": name, "error_description": described}))


def _words(scopes: tuple[Scope, ...]) -> str:
    """Scopes as OAuth's list of words. Write stands with the read that it includes, because clients compare words."""
    levels = (Level.READ, Level.WRITE)
    return " ".join(str(Scope(s.resource, level)) for s in scopes for level in levels if level <= s.level)


@lru_cache(maxsize=4096)
def _grant_words(grant: Grant) -> str:
    return _words(grant.scopes())


_TEXT = {"type": "string"}
_PARAMETERS = {"type": "object", "required": ["token"], "properties": {"token": _TEXT, "token_type_hint": _TEXT}}
_FORM = {"requestBody": {"required": True, "content": {MEDIA_TYPE: {"schema": _PARAMETERS}}}}
_MEANINGS = {
    400: "The request is not valid.",
    401: "No key, or one that is not valid.",
    403: "The caller may not do this.",
    413: "The body is too large.",
    503: "Keyscope cannot decide at the moment; nothing is known to be done.",
}
_PROBLEMS: dict[int | str, dict[str, object]] = {
    status: {"model": OAuthError, "description": meaning} for status, meaning in _MEANINGS.items()
}
