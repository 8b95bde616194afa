"""The one cookie: it holds the id of a session.

Its path keeps it away from everything else on this host, above all from the calls that the gate sends on to the API
behind it. That rules out the prefix ``__Host-``, which asks for the path ``/``; ``__Secure-`` is what remains.
"""

from __future__ import annotations

from keyscope.model.secret import Secret
from keyscope.wire.asgi import RawHeaders
from keyscope.wire.own import CONSOLE
from keyscope.wire.problem import Header

PATH = CONSOLE
_NAME = "keyscope-console"


def name(secure: bool) -> str:
    return f"__Secure-{_NAME}" if secure else _NAME


def read(headers: RawHeaders, secure: bool) -> str | None:
    """The session's id. Two cookies of our name count as none: one of them was planted."""
    pairs = [
        pair.strip().partition(b"=")
        for field, value in headers
        if field == b"cookie"  # HTTP/2 may send several
        for pair in value.split(b";")
    ]
    found = [value for key, _, value in pairs if key == name(secure).encode()]
    return found[0].decode("latin-1") if len(found) == 1 else None


def give(session_id: Secret, secure: bool) -> Header:
    """Sets the cookie, until the browser closes or the session ends."""
    return _header(f"{name(secure)}={session_id.reveal()}", secure)


def take(secure: bool) -> Header:
    """Removes the cookie."""
    return _header(f"{name(secure)}=; Max-Age=0", secure)


def _header(start: str, secure: bool) -> Header:
    text = f"{start}; Path={PATH}; HttpOnly; SameSite=Strict{'; Secure' if secure else ''}"
    return b"set-cookie", text.encode("ascii")
