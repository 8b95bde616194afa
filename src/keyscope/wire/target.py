"""The request target: accepted in canonical form only, matched as it is, forwarded as it is.

Gate and upstream must never read two different paths out of one request, so nothing is normalised here: a path that
some program could read in another way is refused. See the security study: most gateway bypasses of the last years are
a gate that matched raw bytes before an upstream that normalised them.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from urllib.parse import unquote_to_bytes

from keyscope.errors import BadTarget, Fault, TargetTooLong

MAX_BYTES = 8192
_MOST_REMEMBERED = 2048
_REMEMBERED_BYTES = 256
"""Callers send the same few short paths again and again; what was found sound stays so."""

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""The methods that Keyscope knows. They are case-sensitive (RFC 9110 section 9.1)."""


def matched_method(method: str) -> str:
    """The method to match: HEAD is GET without the content (RFC 9110 section 9.3.2)."""
    return "GET" if method == "HEAD" else method


# RFC 3986 pchar without ";" (path parameters) and with every "%" the start of a triplet.
_PLAIN = re.compile(rb"(?:/[A-Za-z0-9\-._~!$&'()*+,=:@]+)+")
_PATH = re.compile(rb"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,=:@]|%[0-9A-Fa-f]{2})+)+")
_QUERY = re.compile(rb"[A-Za-z0-9\-._~!$&'()*+,;=:@/?%\[\]|^`{}\"<>\\]*")
_FORBIDDEN_WHEN_ENCODED = re.compile(rb"[\x00-\x1f\x7f/\\;?#%A-Za-z0-9\-._~]")
_TRIPLET = re.compile(rb"%([0-9A-Fa-f]{2})")


def canonical_path(raw: bytes) -> str:
    """The path, if it is canonical: no empty or dot segment, no trailing slash, no needless or dangerous encoding.

    A segment may hold encoded characters that need encoding (``my%20key``, UTF-8 letters). Raises BadTarget, naming
    the fault, and TargetTooLong.
    """
    return _remembered(raw) if len(raw) <= _REMEMBERED_BYTES else _canonical(raw)


def _canonical(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise TargetTooLong
    if _PLAIN.fullmatch(raw):
        if b"/." in raw and not {b".", b".."}.isdisjoint(raw.split(b"/")):
            raise _bad("it has a dot segment")
        return raw.decode("ascii")
    if raw == b"/":
        return "/"
    if not _PATH.fullmatch(raw):
        raise _bad("it is not a path of plain segments: no //, no trailing slash, no ; \\ # or raw UTF-8")
    _check_encoded(raw)
    return raw.decode("ascii")


_remembered = lru_cache(maxsize=_MOST_REMEMBERED)(_canonical)


def check_query(raw: bytes) -> None:
    """Raise BadTarget for bytes that have no place in a query (control bytes, spaces, raw UTF-8)."""
    if len(raw) > MAX_BYTES:
        raise TargetTooLong
    if not _QUERY.fullmatch(raw):
        raise _bad("its query holds a control byte, a space, a # or raw UTF-8")


def split_target(raw: bytes) -> tuple[str, bytes]:
    """Path and query of an origin-form target, both checked."""
    if len(raw) > MAX_BYTES:
        raise TargetTooLong
    path, _, query = raw.partition(b"?")
    if query:
        check_query(query)
    return canonical_path(path), query


def _check_encoded(raw: bytes) -> None:
    for triplet in _TRIPLET.findall(raw):
        if _FORBIDDEN_WHEN_ENCODED.fullmatch(bytes.fromhex(triplet.decode("ascii"))):
            raise _bad(f"%{triplet.decode('ascii')} is refused: send the plain character, or leave it out")
    for segment in raw.split(b"/")[1:]:
        _check_segment(unquote_to_bytes(segment))


def _check_segment(segment: bytes) -> None:
    try:
        text = segment.decode("utf-8")
    except UnicodeDecodeError:
        raise _bad("an encoded segment is not UTF-8") from None
    if text in (".", "..") or text != text.strip():
        raise _bad("it has a dot segment, or a space at the edge of a segment")
    # An upstream that folds compatibility characters would read another name (U+FF3F FULLWIDTH LOW LINE as "_").
    if unicodedata.normalize("NFKC", text) != text:
        raise _bad("it has a character that other programs may read as another one")


def _bad(why: str) -> BadTarget:
    return BadTarget(why, [Fault("target", why)])
