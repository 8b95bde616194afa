"""Forward-auth: another proxy asks whether a request may pass. One dialect a path, each reading only its own headers.

nginx (``auth_request``) lets any 2xx pass and understands only 401 and 403 besides, so there is no other answer. The
request is described by ``X-Original-URI`` and ``X-Original-Method``; a missing or repeated one refuses. The body is not
seen: where the policy has conditions on it, the scopes of every condition are needed, unless nginx says with
``X-Original-Content-Length`` that the body has at most two bytes, which hold no member.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any

from keyscope.authority.verify import Verifier
from keyscope.errors import (
    BadRequest,
    BadTarget,
    Fault,
    InvalidToken,
    MissingCredential,
    PeerNotTrusted,
    RepeatedCredential,
)
from keyscope.model.decision import Allow
from keyscope.model.operation import strongest
from keyscope.wire.asgi import RawHeaders
from keyscope.wire.bearer import bearer_token
from keyscope.wire.call import peer_of
from keyscope.wire.problem import NO_STORE, Answer, answer
from keyscope.wire.refusal import refusal
from keyscope.wire.target import METHODS, split_target

Network = IPv4Network | IPv6Network

NGINX_PATH = "/keyscope/authorize/nginx"
KEY_ID_HEADER = b"x-keyscope-key-id"
ACCOUNT_ID_HEADER = b"x-keyscope-account-id"

_AUTHORIZATION = b"authorization"
_URI = b"x-original-uri"
_METHOD = b"x-original-method"
_LENGTH = b"x-original-content-length"
_READ = frozenset({_AUTHORIZATION, _URI, _METHOD, _LENGTH})
_MEMBERLESS_BODY_BYTES = frozenset({b"0", b"1", b"2"})


class ForwardAuth:
    """Answers nginx. Believed only from the peers that the settings name."""

    def __init__(self, verifier: Verifier, peers: tuple[Network, ...]) -> None:
        self._verifier = verifier
        self._peers = peers
        self._trusted: dict[str, bool] = {}

    def nginx(self, scope: Mapping[str, Any]) -> Answer:
        """200 with the key's id in a header, 401 or 403; nothing else. Raises Unavailable."""
        try:
            self._check_peer(peer_of(scope))
            return self._judge(scope["headers"])
        except (MissingCredential, InvalidToken) as error:
            return answer(error)
        except (RepeatedCredential, BadRequest, PeerNotTrusted) as error:
            return answer(error, status=HTTPStatus.FORBIDDEN)

    def _judge(self, headers: RawHeaders) -> Answer:
        token, uri, method, length = _read(headers)
        if method not in METHODS:
            raise _incomplete("X-Original-Method is not a method that Keyscope knows")
        path, _ = split_target(uri)
        matched = "GET" if method == "HEAD" else method
        decision = self._verifier.decide(token, matched, path)
        route = decision.access.route
        if route is not None and route.conditions and length not in _MEMBERLESS_BODY_BYTES:
            needs = strongest((*route.needs, *(condition.needs for condition in route.conditions)))
            decision = self._verifier.judge(decision.lineage, route, needs)
        if isinstance(decision, Allow):
            self._verifier.note_use(decision)
            return _allowed(decision)
        self._verifier.note_denied(decision, None)
        return refusal(decision, method, path)

    def _check_peer(self, peer: str) -> None:
        trusted = self._trusted.get(peer)
        if trusted is None:
            trusted = bool(peer) and any(ip_address(peer) in network for network in self._peers)
            if len(self._trusted) < 1024:
                self._trusted[peer] = trusted
        if not trusted:
            raise PeerNotTrusted(peer)


def _read(headers: RawHeaders) -> tuple[bytes, bytes, str, bytes]:
    """Token, original URI, original method and body length, from one pass over the headers."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _READ:
            if name in found:
                raise RepeatedCredential if name == _AUTHORIZATION else _incomplete(f"{name.decode()} stands twice")
            found[name] = value
    token = bearer_token(found.get(_AUTHORIZATION))
    if _URI not in found or _METHOD not in found:
        raise _incomplete("set X-Original-URI and X-Original-Method in the proxy")
    return token, found[_URI], found[_METHOD].decode("latin-1"), found.get(_LENGTH, b"")


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
