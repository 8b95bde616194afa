"""Strict ``application/x-www-form-urlencoded``, as OAuth's endpoints take it (RFC 6749 appendix B).

What two parsers could read in two ways is refused: a repeated name (RFC 6749 section 3.2), an empty piece, a broken
percent triplet, ``;`` (once a separator), raw bytes that an encoder would have escaped, and text that is not UTF-8.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from keyscope.errors import BadRequest, Fault

MEDIA_TYPE = "application/x-www-form-urlencoded"
MOST_FIELDS = 64

_FIELD = re.compile(
    rb"(?:[A-Za-z0-9\-._~!$'()*+,/:@?]|%[0-9A-Fa-f]{2})+=(?:[A-Za-z0-9\-._~!$'()*+,/:@?=]|%[0-9A-Fa-f]{2})*"
)


def parse_form(raw: bytes) -> dict[str, str]:
    """The parameters by name. One without a value counts as left out (RFC 6749 section 3.2). Raises BadRequest."""
    found: dict[str, str] = {}
    names: set[str] = set()
    pieces = raw.split(b"&") if raw else []
    if len(pieces) > MOST_FIELDS:
        raise _bad(f"send at most {MOST_FIELDS} parameters")
    for piece in pieces:
        name, value = _field(piece)
        if name in names:
            raise _bad("a parameter stands twice; send each once")
        names.add(name)
        if value:
            found[name] = value
    return found


def _field(piece: bytes) -> tuple[str, str]:
    if not _FIELD.fullmatch(piece):
        raise _bad("send name=value pairs with & between, percent-encoded")
    name, _, value = piece.partition(b"=")
    return _text(name), _text(value)


def _text(encoded: bytes) -> str:
    if b"%" not in encoded and b"+" not in encoded:
        return encoded.decode("ascii")
    try:
        return unquote_to_bytes(encoded.replace(b"+", b" ")).decode("utf-8")
    except UnicodeDecodeError:
        raise _bad("a parameter is not UTF-8") from None


def _bad(why: str) -> BadRequest:
    return BadRequest("form", [Fault("body", why)])
