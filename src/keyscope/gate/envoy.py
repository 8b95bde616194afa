"""Envoy's ``ext_authz`` over gRPC, version 3: from a CheckRequest to a CheckResponse. Needs ``keyscope[envoy]``.

In protobuf a CheckResponse with nothing in it says "pass", because status code 0 is OK. So no answer here starts empty:
what refuses is made with a status that refuses, and the one that lets pass is made last, in one place, from an Allow.
``error_response`` is never sent, because Envoy's ``failure_mode_allow`` would turn it into a pass.

The call is judged as the built-in gate judges it. Envoy sends on the bytes that came, so nothing is mended here, and
what it shows mended, cut or in part counts as not shown.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from envoy.config.core.v3 import base_pb2  # type: ignore[import-untyped]  # xds-protos has no types
from envoy.service.auth.v3 import external_auth_pb2  # type: ignore[import-untyped]
from google.rpc import status_pb2  # type: ignore[import-untyped]
from msgspec import UNSET, UnsetType

from keyscope.authority.verify import Verifier
from keyscope.errors import BadTarget, Fault, KeyscopeError, OwnOperation, RepeatedCredential, TooLarge, Unavailable
from keyscope.gate.admit import admit_with, attempt_of, first_look, is_judged_by_body, let_through
from keyscope.gate.faults import say
from keyscope.gate.forward import ACCOUNT_ID_HEADER, KEY_ID_HEADER
from keyscope.gate.peers import TrustedPeers
from keyscope.gate.sight import Sight
from keyscope.model.body import Json
from keyscope.model.decision import Allow
from keyscope.model.facts import BodySeen
from keyscope.wire.asgi import RawHeaders
from keyscope.wire.body import check_media_type
from keyscope.wire.call import Call, read_call
from keyscope.wire.codec import decode_strict
from keyscope.wire.own import is_own
from keyscope.wire.problem import Answer, answer

_OK = 0
_PERMISSION_DENIED = 7
_OVERWRITE = base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
_PSEUDO = frozenset({b":path", b":method", b":scheme"})
"""What HTTP/2 has instead of a request line. The fourth of them is Host."""
_AUTHORITY = {b":authority": b"host"}
_PARTIAL = b"x-envoy-auth-partial-body"
"""Written by Envoy alone when it shows a body: ``false`` if that is the whole of it."""
_SIGHT = Sight(body=BodySeen.LATER, counts=True, knows_peer=True)
"""Envoy tells who called it."""
_NOT_RELAYED = frozenset({b"content-length"})
"""Envoy writes its own."""


class EnvoyGate:
    """Answers Envoy. Believed only from the peers that the settings name. Used from the verifier's thread.

    ``max_body_bytes`` bounds only bodies that are judged.
    """

    def __init__(self, verifier: Verifier, peers: TrustedPeers, *, max_header_bytes: int, max_body_bytes: int) -> None:
        self._verifier = verifier
        self._peers = peers
        self._max_header_bytes = max_header_bytes
        self._max_body_bytes = max_body_bytes

    def check(self, question: bytes, peer: str) -> bytes:
        """A CheckResponse to a CheckRequest, both as they are on the wire. ``peer`` is as gRPC has it.

        Whatever goes wrong is refused here: an exception would become a gRPC error, and Envoy's own setting would then
        say whether the call passes.
        """
        try:
            return self._check(question, peer)
        except Exception as error:
            say(error)
            return CANNOT_DECIDE

    def _check(self, question: bytes, peer: str) -> bytes:
        try:
            self._peers.check(address_of(peer))
            outcome = self._judge(external_auth_pb2.CheckRequest.FromString(question).attributes)
        except KeyscopeError as error:
            if isinstance(error, Unavailable):
                say(error)
            outcome = answer(error)
        return _allowed(outcome) if isinstance(outcome, Allow) else _denied(outcome)

    def _judge(self, attributes: Any) -> Allow | Answer:
        http = attributes.request.http
        call = _call(http, attributes.source.address.socket_address.address, self._max_header_bytes)
        if is_own(call.path):
            self._verifier.note_refused(OwnOperation(), attempt_of(call))
            raise OwnOperation
        admitted = first_look(self._verifier, call, _SIGHT)
        if not isinstance(admitted, Allow):
            return admitted
        if not is_judged_by_body(admitted):
            return let_through(self._verifier, admitted, call)
        return admit_with(self._verifier, admitted, call, self._body(call.headers, http), _SIGHT)

    def _body(self, headers: RawHeaders, http: Any) -> Json | UnsetType:
        """The value of the body, None for an empty one; UNSET if Envoy did not show the whole of it."""
        body = whole_body(headers, http)
        if body is None:
            return UNSET
        if not body:
            return None
        if len(body) > self._max_body_bytes:
            raise TooLarge(f"more than {self._max_body_bytes} bytes")
        check_media_type(headers, "application/json")
        return decode_strict(body)


def address_of(peer: str) -> str:
    """The address in gRPC's name of a peer (``ipv4:127.0.0.1:5000``, ``ipv6:%5B::1%5D:5000``); empty if it has none."""
    family, _, rest = peer.partition(":")
    if family not in ("ipv4", "ipv6"):
        return ""
    return unquote(rest).rpartition(":")[0].strip("[]")


def whole_body(headers: RawHeaders, http: Any) -> bytes | None:
    """The body of a request, if Envoy showed all of it or there is none for certain; None otherwise.

    Where there is no body, Envoy shows what it shows when it does not look, so only a Content-Length of 0 tells. It
    never looks at the body of an upgrade. A text instead of bytes (without ``pack_as_bytes``) may be mended.
    """
    by_name: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        by_name.setdefault(name, []).append(value)
    shown: bytes = http.raw_body
    if http.body or b"upgrade" in by_name:
        return None
    lengths = by_name.get(b"content-length", [])
    if not shown:
        return b"" if lengths == [b"0"] else None
    is_whole = by_name.get(_PARTIAL) == [b"false"] and lengths in ([], [str(len(shown)).encode()])
    return shown if is_whole else None


def _call(http: Any, caller: str, max_header_bytes: int) -> Call:
    """The request that Envoy describes, after the checks that hold for every request."""
    fields = _fields(http)
    target = _target(http, fields)
    path, _, query = target.partition(b"?")
    described = {
        "method": http.method,
        "raw_path": path,
        "query_string": query,
        "http_version": http.protocol.rpartition("/")[2],
        "client": (caller, 0),
        "headers": [(_AUTHORITY.get(name, name), value) for name, value in fields if name not in _PSEUDO],
    }
    return read_call(described, max_header_bytes)


def _fields(http: Any) -> RawHeaders:
    """The header fields, the pseudo-fields of HTTP/2 too.

    With ``encode_raw_headers`` they come byte for byte; even so Envoy has joined two Authorization lines with a comma
    by then, as it does with every field otherwise. No key holds one.
    """
    if http.header_map.headers:
        raw = http.header_map.headers
        fields = [(field.key.lower().encode(), field.raw_value or field.value.encode()) for field in raw]
    else:
        fields = [(name.lower().encode(), value.encode()) for name, value in http.headers.items()]
    if any(name == b"authorization" and b"," in value for name, value in fields):
        raise RepeatedCredential("a comma in Authorization")
    return fields


def _target(http: Any, fields: RawHeaders) -> bytes:
    """Path and query as they will be sent on.

    In a text Envoy writes ``!`` for each byte that is not UTF-8, so the raw field must say the same; without raw fields
    the character is refused.
    """
    target: bytes = http.path.encode()
    raw = [value for name, value in fields if name == b":path"]
    is_exact = raw == [target] if http.header_map.headers else b"!" not in target
    if not is_exact:
        raise BadTarget("path", [Fault("target", "the proxy did not show it byte for byte")])
    return target


def _denied(refused: Answer) -> bytes:
    """The same status, fields and words as the built-in gate has."""
    response = external_auth_pb2.CheckResponse(status=status_pb2.Status(code=_PERMISSION_DENIED))
    response.denied_response.status.code = int(refused.status)
    response.denied_response.headers.extend(
        _field(name, value) for name, value in refused.headers if name not in _NOT_RELAYED
    )
    response.denied_response.body = refused.body.decode()
    encoded: bytes = response.SerializeToString()
    return encoded


def _allowed(allow: Allow) -> bytes:
    """The one answer that lets a call pass: without the caller's credential, and saying who calls."""
    key = allow.lineage.key
    ok = external_auth_pb2.OkHttpResponse(
        headers=[_field(KEY_ID_HEADER, key.id.encode()), _field(ACCOUNT_ID_HEADER, key.account_id.encode())],
        headers_to_remove=["authorization"],
    )
    encoded: bytes = external_auth_pb2.CheckResponse(
        status=status_pb2.Status(code=_OK), ok_response=ok
    ).SerializeToString()
    return encoded


def _field(name: bytes, value: bytes) -> Any:
    """A field that takes the place of what the caller or Envoy has under its name."""
    header = base_pb2.HeaderValue(key=name.decode("ascii"), value=value.decode("latin-1"))
    return base_pb2.HeaderValueOption(header=header, append_action=_OVERWRITE)


CANNOT_DECIDE = _denied(answer(Unavailable()))
"""Made before it is needed."""
