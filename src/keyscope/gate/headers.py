"""Which header fields cross the gate, in both directions.

Inwards nothing passes that could claim to be someone or somewhere else: the caller's credential, cookies, every
forwarding header, method overrides, Keyscope's own headers, and names with anything but letters, digits and hyphens
(CGI and its heirs read every other character as a hyphen). Hop-by-hop fields end here (RFC 9110 section 7.6.1), and so
do those that ``Connection`` names.
"""

from __future__ import annotations

from keyscope.errors import BadRequest, Fault
from keyscope.model.key import Key
from keyscope.wire.asgi import RawHeaders

Fields = list[tuple[str, str]]

HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding "
    b"upgrade".split()
)
NEVER_INWARD = frozenset(
    b"authorization cookie host expect forwarded via x-real-ip x-client-ip x-cluster-client-ip true-client-ip "
    b"cf-connecting-ip x-account-id x-rewrite-url x-http-method x-http-method-override x-method-override".split()
)
NEVER_INWARD_PREFIXES = (b"x-forwarded-", b"x-original-", b"x-keyscope-", b"x-auth-")
_NEVER_OUTWARD = frozenset({b"set-cookie", b"set-cookie2", b"alt-svc"})
_WEBSOCKET_HANDSHAKE = (b"sec-websocket-",)


def inward(headers: RawHeaders, key: Key, upstream_key: str | None) -> Fields:
    """The fields for the upstream: the caller's, cleaned, with the upstream's key and who is calling.

    Raises BadRequest for a value that cannot go on byte for byte.
    """
    nominated = _nominated(headers)
    fields = [
        (name.decode("latin-1"), _text(value))
        for name, value in headers
        if name not in HOP_BY_HOP
        and name not in NEVER_INWARD
        and name not in nominated
        and name.replace(b"-", b"").isalnum()
        and not name.startswith(NEVER_INWARD_PREFIXES)
    ]
    fields.append(("x-keyscope-key-id", key.id))
    fields.append(("x-keyscope-account-id", key.account_id))
    if upstream_key is not None:
        fields.append(("authorization", f"Bearer {upstream_key}"))
    return fields


def inward_websocket(headers: RawHeaders, key: Key, upstream_key: str | None) -> Fields:
    """As ``inward``, without the handshake's own fields, which the client library writes anew."""
    fields = inward(headers, key, upstream_key)
    return [(name, value) for name, value in fields if not name.encode("latin-1").startswith(_WEBSOCKET_HANDSHAKE)]


def outward(headers: tuple[tuple[bytes, bytes], ...]) -> RawHeaders:
    """The upstream's fields for the caller, without hop-by-hop ones and cookies."""
    lowered = [(name.lower(), value) for name, value in headers]
    nominated = _nominated(lowered)
    return [
        (name, value)
        for name, value in lowered
        if name not in HOP_BY_HOP and name not in _NEVER_OUTWARD and name not in nominated
    ]


def _text(value: bytes) -> str:
    """A field value for the client library, which writes UTF-8: other bytes would not arrive as they came."""
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("field", [Fault("headers", "a field value is not UTF-8")]) from None


def _nominated(headers: RawHeaders) -> frozenset[bytes]:
    """The names that Connection lists."""
    lists = [value for name, value in headers if name == b"connection"]
    return frozenset(part.strip().lower() for value in lists for part in value.split(b","))
