"""Forward-auth: another proxy asks whether a request may pass. One dialect a path, each reading only its own headers.

A dialect says where its proxy describes the request, always in fields that the proxy itself writes over whatever the
caller sent. A missing or repeated field refuses. Every one of these proxies takes a 200 for "pass" (nginx, Caddy and
Traefik any 2xx), so nothing else shares these paths.

The body is not seen: where the policy has conditions on it, the scopes of every condition are needed, unless nginx says
with ``X-Original-Content-Length`` that the body has at most two bytes, which hold no member.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from msgspec import Struct

from keyscope.authority.trail import UNSEEN, Attempt
from keyscope.authority.verify import Verifier
from keyscope.errors import (
    BadRequest,
    BadTarget,
    Fault,
    InvalidToken,
    MissingCredential,
    OwnOperation,
    PeerNotTrusted,
    RepeatedCredential,
)
from keyscope.gate.admit import settle
from keyscope.gate.peers import TrustedPeers
from keyscope.gate.sight import Sight
from keyscope.model.decision import Allow
from keyscope.model.facts import BodySeen
from keyscope.model.peer import Network
from keyscope.wire.asgi import RawHeaders
from keyscope.wire.bearer import bearer_token
from keyscope.wire.call import peer_of, request_id
from keyscope.wire.own import is_own
from keyscope.wire.problem import NO_STORE, Answer, answer
from keyscope.wire.refusal import refusal
from keyscope.wire.target import METHODS, matched_method, split_target

PREFIX = b"/keyscope/authorize/"
KEY_ID_HEADER = b"x-keyscope-key-id"
ACCOUNT_ID_HEADER = b"x-keyscope-account-id"

_AUTHORIZATION = b"authorization"
_MEMBERLESS_BODY_BYTES = frozenset({b"0", b"1", b"2"})


class Dialect(Struct, frozen=True, kw_only=True):
    """How one kind of proxy asks. Fields are lower-case header names; None means that the proxy does not send one."""

    path: bytes
    uri: bytes | None
    """Holds path and query of the original request; None: they follow ``path`` in the request target."""
    method: bytes | None
    """Holds the original method; None: the question is asked with it."""
    length: bytes | None = None
    """Holds the original Content-Length."""
    caller: bytes | None = None
    """Holds the address of who called the proxy. Anything but one address says nothing."""
    caller_in_query: bool = False
    """Whether the query of the question says it, as ``client=…``: nothing of a caller's request comes into that."""
    relays: bool
    """Whether every status reaches the caller. Otherwise there are only 200, 401 and 403."""

    @property
    def name(self) -> str:
        """The proxy's: ``nginx``."""
        return self.path.removeprefix(PREFIX).decode("ascii")

    @property
    def status(self) -> HTTPStatus | None:
        """The status of what is refused for another reason than its key; None: the one that the error has."""
        return None if self.relays else HTTPStatus.FORBIDDEN


NGINX = Dialect(
    path=PREFIX + b"nginx",
    uri=b"x-original-uri",
    method=b"x-original-method",
    length=b"x-original-content-length",
    caller_in_query=True,
    relays=False,
)
"""``auth_request`` turns every status but 2xx, 401 and 403 into 500."""
CADDY = Dialect(
    path=PREFIX + b"caddy",
    uri=b"x-forwarded-uri",
    method=b"x-forwarded-method",
    caller=b"x-forwarded-for",
    relays=True,
)
"""``forward_auth`` sends refusals on as they are."""
TRAEFIK = Dialect(
    path=PREFIX + b"traefik",
    uri=b"x-forwarded-uri",
    method=b"x-forwarded-method",
    caller=b"x-forwarded-for",
    relays=True,
)
"""``forwardAuth`` sends refusals on as they are. Needs ``trustForwardHeader: false``."""
ENVOY = Dialect(path=PREFIX + b"envoy", uri=None, method=None, relays=False)
"""``ext_authz`` over HTTP puts the original target behind its path prefix. A 5xx would obey ``failure_mode_allow``."""

DIALECTS = (NGINX, CADDY, TRAEFIK, ENVOY)
_BY_PATH = {dialect.path: dialect for dialect in DIALECTS}
_BELOW_ENVOY = ENVOY.path + b"/"
_FIELDS = {d.path: frozenset({_AUTHORIZATION, d.uri, d.method, d.length, d.caller}) for d in DIALECTS}
_CLIENT = b"client="
_SEES_HEAD = Sight(counts=True, knows_peer=True)
_SEES_ALL = Sight(body=BodySeen.WHOLE, counts=True, knows_peer=True)


def dialect_of(raw_path: bytes) -> Dialect | None:
    """The dialect that is spoken at this path of ours."""
    exact = _BY_PATH.get(raw_path)
    if exact is None and raw_path.startswith(_BELOW_ENVOY):
        return ENVOY
    return exact


class ForwardAuth:
    """Answers the proxies. Believed only from the peers that the settings name."""

    def __init__(self, verifier: Verifier, peers: tuple[Network, ...]) -> None:
        self._verifier = verifier
        self._peers = TrustedPeers(peers)

    def answer(self, dialect: Dialect, scope: Mapping[str, Any]) -> Answer:
        """200 with the key's id in a header, or a refusal. Raises Unavailable."""
        try:
            self._peers.check(peer_of(scope))
            return self._judge(dialect, scope)
        except (MissingCredential, InvalidToken) as error:
            self._verifier.note_refused(error, UNSEEN)
            return answer(error)
        except (RepeatedCredential, OwnOperation, PeerNotTrusted) as error:
            self._verifier.note_refused(error, UNSEEN)
            return answer(error, status=dialect.status)
        except BadRequest as error:
            return answer(error, status=dialect.status)

    def _judge(self, dialect: Dialect, scope: Mapping[str, Any]) -> Answer:
        token, target, method, length, caller = _read(dialect, scope)
        if method not in METHODS:
            raise _incomplete("the original method is not one that Keyscope knows")
        path, _ = split_target(target)
        if is_own(path):
            raise OwnOperation
        memberless = length in _MEMBERLESS_BODY_BYTES
        sight = _SEES_ALL if memberless else _SEES_HEAD
        decision = self._verifier.decide(token, matched_method(method), path, sight, caller)
        route = decision.access.route
        if route is not None and route.conditions and not memberless:
            facts = decision.access.facts
            decision = self._verifier.judge(decision.lineage, route, route.needs_unseen, facts)
        decision = settle(self._verifier, decision, lambda: _attempt(method, path, scope))
        return _allowed(decision) if isinstance(decision, Allow) else refusal(decision, method, path, dialect.status)


def _attempt(method: str, path: str, scope: Mapping[str, Any]) -> Attempt:
    """As it is written down. The peer is the proxy, and who called it only the proxy knows."""
    return Attempt(method=method, path=path, request_id=request_id(scope["headers"]))


def _read(dialect: Dialect, scope: Mapping[str, Any]) -> tuple[bytes, bytes, str, bytes, str]:
    """Token, original target, original method, body length and caller, from one pass over the headers."""
    read = _FIELDS[dialect.path]
    headers: RawHeaders = scope["headers"]
    found: dict[bytes | None, bytes] = {}
    for name, value in headers:
        if name in read:
            if name in found:
                raise RepeatedCredential if name == _AUTHORIZATION else _incomplete(f"{name.decode()} stands twice")
            found[name] = value
    token = bearer_token(found.get(_AUTHORIZATION))
    try:
        target = found[dialect.uri] if dialect.uri is not None else _behind(dialect.path, scope)
        method = found[dialect.method].decode("latin-1") if dialect.method is not None else scope["method"]
    except KeyError as missing:
        raise _incomplete(f"set {missing.args[0].decode()} in the proxy") from None
    return token, target, method, found.get(dialect.length, b""), _caller(dialect, scope, found)


def _caller(dialect: Dialect, scope: Mapping[str, Any], found: Mapping[bytes | None, bytes]) -> str:
    """Who called the proxy, by what the proxy says; empty if it does not."""
    if dialect.caller_in_query:
        query: bytes = scope["query_string"]
        said = query.removeprefix(_CLIENT) if query.startswith(_CLIENT) else b""
    else:
        said = found.get(dialect.caller, b"") if dialect.caller is not None else b""
    return said.decode("latin-1")


def _behind(prefix: bytes, scope: Mapping[str, Any]) -> bytes:
    """What follows our own path in the request target, query and all."""
    path: bytes = scope["raw_path"]
    query: bytes = scope["query_string"]
    return path[len(prefix) :] + (b"?" + query if query else b"")


def _incomplete(why: str) -> BadTarget:
    return BadTarget(why, [Fault("headers", why)])


def _allowed(decision: Allow) -> Answer:
    key = decision.lineage.key
    headers = (
        (KEY_ID_HEADER, key.id.encode()),
        (ACCOUNT_ID_HEADER, key.account_id.encode()),
        (b"content-length", b"0"),
        NO_STORE,
    )
    return Answer(200, headers, b"")
