"""Builds that read the request wrongly: its credential, its target, its method, its headers."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, unquote_to_bytes

from msgspec.structs import replace

import keyscope.gate.admit
import keyscope.gate.forward
import keyscope.gate.headers
import keyscope.gate.proxy
import keyscope.gate.websocket
import keyscope.serving.application
import keyscope.wire.bearer
import keyscope.wire.call
import keyscope.wire.target
from keyscope.errors import BadTarget
from keyscope.model.access import Access
from keyscope.model.decision import Allow
from tests.attacks.broken.build import broken, part, swap

admit, bearer = keyscope.gate.admit, keyscope.wire.bearer
call, proxy, forward = keyscope.wire.call, keyscope.gate.proxy, keyscope.gate.forward


def _values(headers: Any, name: bytes) -> list[bytes]:
    return [value for header, value in headers if header == name]


def _credential(found: Callable[[Any], bytes | None]) -> None:
    """Take the credential from where ``found`` looks first."""
    old = bearer.find_bearer

    def look(headers: Any) -> bytes:
        return found(headers) or old(headers)

    swap(admit, "find_bearer", look)


@broken("the first of two credentials counts", "hdr-003")
def _() -> None:
    _credential(lambda headers: bearer.bearer_token(next(iter(_values(headers, b"authorization")), None)))


@broken("the last of two credentials counts", "hdr-001", "hdr-004", "hdr-005")
def _() -> None:
    _credential(lambda headers: bearer.bearer_token(_values(headers, b"authorization")[-1]))


@broken("a list of credentials is split at the comma", "hdr-006")
def _() -> None:
    _credential(
        lambda headers: bearer.bearer_token(_values(headers, b"authorization")[0].rsplit(b",", 1)[-1].strip(b" "))
    )


@broken("a key without its scheme is accepted", "hdr-009")
def _() -> None:
    _credential(lambda headers: _values(headers, b"authorization")[0].rsplit(b" ", 1)[-1])


@broken("Basic credentials are accepted", "hdr-016", "hdr-017")
def _() -> None:
    def look(headers: Any) -> bytes | None:
        value = b"".join(_values(headers, b"authorization"))
        return b64decode(value[6:]).strip(b":") if value.startswith(b"Basic ") else None

    _credential(look)


@broken("a key in another header is accepted", "hdr-022")
def _() -> None:
    _credential(lambda headers: next(iter(_values(headers, b"x-api-key")), None))


@broken("a key in a cookie is accepted", "hdr-024")
def _() -> None:
    _credential(lambda headers: b"".join(_values(headers, b"cookie")).rsplit(b"api_key=", 1)[-1][:52] or None)


@broken("proxy credentials count", "hdr-023")
def _() -> None:
    _credential(lambda headers: b"".join(_values(headers, b"proxy-authorization"))[7:] or None)


@broken("a key in the query is accepted", "hdr-026")
def _() -> None:
    old = admit.first_look

    def look(verifier: Any, asked: Any, *sight: Any) -> Any:
        token = asked.query.partition(b"access_token=")[2]
        headers = [(b"authorization", b"Bearer " + token)] if token else asked.headers
        return old(verifier, replace(asked, headers=headers), *sight)

    swap(proxy, "first_look", look)


@broken("white space of any sort is cut from a key", "tok-042")
def _() -> None:
    _credential(lambda headers: bearer.bearer_token(_values(headers, b"authorization")[0]).decode().strip().encode())


@broken("a percent-encoded key is decoded", "tok-032")
def _() -> None:
    _credential(lambda headers: unquote_to_bytes(bearer.bearer_token(_values(headers, b"authorization")[0])))


@broken("the scheme is case-sensitive", "ctl-024", "ctl-025")
def _() -> None:
    _credential(lambda headers: b"x" if not _values(headers, b"authorization")[0].startswith(b"Bearer ") else None)


@broken("any target is matched as it stands", "pth-031", "pth-062", "pth-023")
def _() -> None:
    swap(call, "canonical_path", lambda raw: raw.decode("latin-1"))


@broken("path parameters are cut off", "pth-021")
def _() -> None:
    old = part(call, "canonical_path")
    swap(call, "canonical_path", lambda raw: old(raw.split(b";")[0]))


@broken("every percent-encoding is refused", "ctl-015", "ctl-016")
def _() -> None:
    old = part(call, "canonical_path")

    def strict(raw: bytes) -> str:
        if b"%" in raw:
            raise BadTarget
        return str(old(raw))

    swap(call, "canonical_path", strict)


@broken("the query takes part in the match", "ctl-003", "ctl-027")
def _() -> None:
    _judged_as(lambda asked: replace(asked, path=asked.target, query=b""))


def _judged_as(change: Callable[[Any], Any]) -> None:
    """Judge another call than the one that is sent on."""
    old = admit.first_look
    swap(proxy, "first_look", lambda verifier, asked, *sight: old(verifier, change(asked), *sight))


@broken("a forwarded URI is believed", "hdr-029", "hdr-030")
def _() -> None:
    def change(asked: Any) -> Any:
        told = _values(asked.headers, b"x-forwarded-uri") or _values(asked.headers, b"x-original-uri")
        return replace(asked, path=told[0].decode()) if told else asked

    _judged_as(change)


@broken("a forwarded method is believed", "hdr-031")
def _() -> None:
    def change(asked: Any) -> Any:
        told = _values(asked.headers, b"x-forwarded-method")
        return replace(asked, method=told[0].decode()) if told else asked

    _judged_as(change)


@broken("a method override is honoured", "mth-016")
def _() -> None:
    def change(asked: Any) -> Any:
        told = _values(asked.headers, b"x-http-method-override")
        return replace(asked, method=told[0].decode()) if told else asked

    _judged_as(change)


@broken("an unknown method counts as GET", "mth-011", "mth-022")
def _() -> None:
    class Every:
        """Holds every method."""

        def __contains__(self, _: object) -> bool:
            return True

    swap(call, "METHODS", Every())
    _judged_as(lambda asked: replace(asked, method="GET" if len(asked.method) < 8 else asked.method))


def _let_through(which: Callable[[Any], bool], where: Any = proxy, name: str = "first_look") -> None:
    """Allow every live key the calls that ``which`` picks."""
    old = admit.first_look

    def look(verifier: Any, asked: Any, *sight: Any) -> Any:
        if not which(asked):
            return old(verifier, asked, *sight)
        return Allow(verifier.live(bearer.find_bearer(asked.headers)), Access(None, (), 0))

    swap(where, name, look)


@broken("HEAD is not judged", "mth-001")
def _() -> None:
    _let_through(lambda asked: asked.method == "HEAD")


@broken("OPTIONS is not judged", "mth-006")
def _() -> None:
    _let_through(lambda asked: asked.method == "OPTIONS")


@broken("only /v1 is gated", "scp-022")
def _() -> None:
    _let_through(lambda asked: not asked.path.startswith("/v1/"))


@broken("WebSocket handshakes are not judged", "hdr-048", "hdr-049")
def _() -> None:
    _let_through(lambda _: True, keyscope.gate.websocket)


@broken("a repeated or missing Host is accepted", "hdr-044", "smg-019")
def _() -> None:
    swap(call, "_check_host", lambda headers, version: None)


@broken("the caller's key goes to the upstream", "ctl-001")
def _() -> None:
    headers = keyscope.gate.headers
    swap(headers, "NEVER_INWARD", headers.NEVER_INWARD - {b"authorization"})


@broken("forward-auth reads the headers of two dialects", "hdr-030:forward-auth", "hdr-034:forward-auth")
def _() -> None:
    old = forward._read

    def read(dialect: Any, scope: Any) -> Any:
        headers = scope["headers"]
        told = _values(headers, b"x-forwarded-uri")
        rest = [(name, value) for name, value in headers if name != b"x-original-uri" or not told]
        return old(dialect, {**scope, "headers": rest + [(b"x-original-uri", value) for value in told]})

    swap(forward, "_read", read)


@broken("forward-auth falls back to its own method", "hdr-065:forward-auth")
def _() -> None:
    old = forward._read

    def read(dialect: Any, scope: Any) -> Any:
        return old(dialect, {**scope, "headers": [*scope["headers"], (b"x-original-method", b"GET")]})

    swap(forward, "_read", read)


@broken("forward-auth decodes the URI before it matches", "pth-018:forward-auth", "pth-062:forward-auth")
def _() -> None:
    swap(forward, "split_target", lambda raw: (unquote(raw.decode("latin-1")).split("?")[0], b""))


@broken("forward-auth ends the URI at an encoded NUL", "pth-036:forward-auth")
def _() -> None:
    swap(forward, "split_target", lambda raw: (raw.decode("latin-1").split("%00")[0], b""))


@broken("names that CGI reads like the gate's own go on", "prx-025", "prx-026", "prx-093", "prx-094")
def _() -> None:
    old = part(proxy, "inward")

    def inward(headers: Any, key: Any, upstream_key: Any) -> Any:
        odd = [(n.decode(), v.decode()) for n, v in headers if not n.replace(b"-", b"").isalnum()]
        return [*old(headers, key, upstream_key), *odd]

    swap(proxy, "inward", inward)


@broken("a proxy may send Keyscope's own paths on", "prx-001:forward-auth", "prx-004:forward-auth")
def _() -> None:
    swap(forward, "is_own", lambda path: False)
