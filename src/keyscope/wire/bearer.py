"""Find the one credential of a request (RFC 6750 section 2.1). Never pick one of several, never repair one.

Headers are ASGI's: pairs of bytes with lower-case names. Names are counted here because HTTP servers differ in what
they do with a repeated Authorization line.
"""

from __future__ import annotations

from collections.abc import Iterable

from keyscope.errors import InvalidToken, MissingCredential, RepeatedCredential

Headers = Iterable[tuple[bytes, bytes]]


def find_bearer(headers: Headers) -> bytes:
    """The text after ``Bearer``. Whether it is a key is for the verifier to say.

    Raises MissingCredential (no Authorization header), RepeatedCredential (more than one) and InvalidToken (another
    scheme, no token, or anything after it).
    """
    found: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            if found is not None:
                raise RepeatedCredential("two Authorization headers")
            found = value
    return bearer_token(found)


def bearer_token(value: bytes | None) -> bytes:
    """The token of one Authorization value; None stands for an absent header. Raises as ``find_bearer`` does."""
    if value is None:
        raise MissingCredential
    if value.startswith(b"Bearer "):  # as nearly everybody writes it
        token = value[7:].rstrip(b" \t").lstrip(b" ")
        if token:
            return token
    scheme, _, token = value.strip(b" \t").partition(b" ")
    token = token.lstrip(b" ")
    if scheme.lower() != b"bearer" or not token:
        raise InvalidToken("not a Bearer credential")
    return token
