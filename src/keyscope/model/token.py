"""A key's text: ``rk_`` or ``ak_``, 43 base62 characters of secret, 6 base62 characters of CRC-32.

The checksum lets the gate, an editor or a scanner reject junk without a look-up. It protects nothing: the secret does.
Alphabet 0-9, A-Z, a-z in that order; numbers are left-padded with 0; 52 characters in all (DESIGN 3.3).
"""

from __future__ import annotations

from enum import StrEnum
from zlib import crc32

from keyscope.model.secret import Secret

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
LENGTH = 52
SECRET_BYTES = 32
_SECRET_CHARS = 43
CHECK_CHARS = 6
_BODY = LENGTH - CHECK_CHARS

_PAIRS = tuple((a + b).encode() for a in ALPHABET for b in ALPHABET)


class Kind(StrEnum):
    """What a key is. The value is also its prefix on the wire, without the underscore."""

    STANDARD = "ak"
    RESTRICTED = "rk"


_PREFIX_CHARS = 3
_PREFIXES = frozenset(f"{kind.value}_".encode() for kind in Kind)


def base62(number: int, width: int) -> str:
    """A non-negative integer in base62, left-padded with 0 to ``width`` characters."""
    digits = []
    while number:
        number, digit = divmod(number, 62)
        digits.append(ALPHABET[digit])
    return "".join(reversed(digits)).rjust(width, "0")


def checksum(body: bytes) -> bytes:
    """Six base62 characters of zlib's CRC-32 of everything before them.

    Written with a table of character pairs because the gate computes it for every request.
    """
    value = crc32(body)
    return _PAIRS[value // 3844**2] + _PAIRS[value // 3844 % 3844] + _PAIRS[value % 3844]


def format_token(kind: Kind, entropy: bytes) -> Secret:
    """A key's text from 32 random bytes. Raises ValueError for any other number of bytes."""
    if len(entropy) != SECRET_BYTES:
        raise ValueError(f"a key takes {SECRET_BYTES} random bytes, not {len(entropy)}")
    body = f"{kind.value}_{base62(int.from_bytes(entropy), _SECRET_CHARS)}"
    return Secret(body + checksum(body.encode()).decode())


def is_token(text: bytes) -> bool:
    """Whether the bytes have a key's shape and checksum. Says nothing about whether such a key exists."""
    return (
        len(text) == LENGTH
        and text[:_PREFIX_CHARS] in _PREFIXES
        and text[_PREFIX_CHARS:].isalnum()  # of bytes: ASCII letters and digits alone
        and text[_BODY:] == checksum(text[:_BODY])
    )


def parse_token(text: str) -> tuple[Kind, Secret]:
    """Read a key's text. Raises ValueError, without repeating the text, if it is not one."""
    try:
        raw = text.encode("ascii")
    except UnicodeEncodeError:
        raw = b""
    if not is_token(raw):
        raise ValueError("this is not a key: it should be ak_ or rk_ and 49 letters and digits, copied whole")
    return Kind(text[:2]), Secret(text)
