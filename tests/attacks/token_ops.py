"""Edits to a key's text, by name. The checksum is computed here anew, so that a fault in the product's shows."""

from __future__ import annotations

import base64
import string
import zlib
from collections.abc import Callable

_DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
_CHECK = 6
_LOOK_ALIKES = str.maketrans("aceopxyk", "асеорхук")

DigestOf = Callable[[], bytes]
"""The stored digest of the key that is being edited."""


def apply(text: str, operations: list[str], digest: DigestOf) -> str:
    """The text after all edits. Raises KeyError for an operation that the runner does not know."""
    for operation in operations:
        name, _, argument = operation.partition(":")
        text = _base64url(digest()) if name == "stored_hash_b64url" else _EDITS[name](text, argument)
    return text


def checksum(body: str) -> str:
    """CRC-32 of the text before it, six characters."""
    number, digits = zlib.crc32(body.encode()), ""
    while number:
        number, digit = divmod(number, 62)
        digits = _DIGITS[digit] + digits
    return digits.rjust(_CHECK, "0")


def _base64url(digest: bytes) -> str:
    return "rk_" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _flip(text: str, at: int) -> str:
    other = "b" if text[at] == "a" else "a"
    return text[:at] + other + text[at + 1 or len(text) :]


def _swap_prefix(text: str, argument: str) -> str:
    old, new = argument.split("->")
    if not text.startswith(old):
        raise ValueError(f"the key does not start with {old}")
    return new + text.removeprefix(old)


def _in_the_middle(text: str, argument: str) -> str:
    return text[: len(text) // 2] + argument + text[len(text) // 2 :]


def _first(text: str, wanted: str, edit: Callable[[str], str]) -> str:
    """The text with the last of the wanted characters edited."""
    at = max(text.rfind(char) for char in wanted)
    return text[:at] + edit(text[at]) + text[at + 1 :]


_EDITS: dict[str, Callable[[str, str], str]] = {
    "drop_last": lambda text, count: text[: -int(count)],
    "drop_first": lambda text, count: text[int(count) :],
    "flip_last": lambda text, _: _flip(text, len(text) - 1),
    "flip_mid": lambda text, _: _flip(text, len(text) // 2),
    "fix_checksum": lambda text, _: text[:-_CHECK] + checksum(text[:-_CHECK]),
    "lower": lambda text, _: text.lower(),
    "upper": lambda text, _: text.upper(),
    "prefix": _swap_prefix,
    "append": lambda text, more: text + more,
    "prepend": lambda text, more: more + text,
    "insert_mid": _in_the_middle,
    "latin1_byte": _in_the_middle,
    "duplicate": lambda text, _: text + text,
    "literal": lambda _, words: words,
    "urlencode": lambda text, _: "".join(f"%{ord(char):02X}" for char in text),
    "homoglyph": lambda text, _: _first(text, "aceopxyk", lambda char: char.translate(_LOOK_ALIKES)),
    "fullwidth_digit": lambda text, _: _first(text, string.digits, lambda char: chr(ord(char) + 0xFEE0)),
    "kelvin": lambda text, _: text.replace("k", "\u212a", 1),
}
