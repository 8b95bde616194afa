"""Find keys in bytes by their shape, and reject by the checksum what only looks like one.

No boundary is asked for on either side: a key in a URL, in minified code or glued to other text is found all the same,
because the checksum, and not what stands around it, tells it from noise. Nothing here knows whether a key exists.

The search begins with the two bytes that all kinds of key share, ``k_``, because a pattern with a fixed beginning is
sixty times as fast as one that begins with a choice.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Iterator

from keyscope.model.derived import MAX_LENGTH, MAX_LINKS, PREFIX, is_derived
from keyscope.model.token import LENGTH, is_token

LONGEST = MAX_LENGTH
"""Characters of the longest key."""

# What a derived key's text goes on with: version 1, and so a byte 0x01 in base64.
_NARROW = re.compile(rb"k_(?=[0-9A-Za-z]{49}|A[Q-Za-f])")
_WIDE = re.compile(rb"k\0_\0(?=[0-9A-Za-z]\0)")
_HEAD = re.compile(rb"[0-9A-Za-z_-]{92}")
"""As much base64 as shows the version, both hashes, the length of the first link and its first bytes."""
_RUN = re.compile(rb"[0-9A-Za-z_-]*")

_LINKS_AT = 1 + 32 + 32
_TAG = 32
_CHECK_CHARS = 6
_FROM_URL = bytes.maketrans(b"-_", b"+/")


def keys_in(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Every key's text in the content and where it starts, in order. Also in UTF-16, as some shells write files."""
    yield from _found(content, _NARROW, 1)
    if b"\0" in content:
        yield from _found(content, _WIDE, 2)


def shown(text: bytes) -> str:
    """A key as it may be shown: its prefix and its last four characters, which belong to the checksum."""
    return f"{text[:3].decode('ascii')}…{text[-4:].decode('ascii')}"


def redacted(text: str) -> str:
    """The text with every key in it as ``shown`` has it: file names and addresses can hold keys, too."""
    raw = text.encode("utf-8", "surrogateescape")
    for _, key in keys_in(raw):
        raw = raw.replace(key, shown(key).encode())
    return raw.decode("utf-8", "surrogateescape")


def _found(content: bytes, pattern: re.Pattern[bytes], width: int) -> Iterator[tuple[int, bytes]]:
    end = 0
    for match in pattern.finditer(content):
        start = match.start() - width
        if start < end:
            continue
        text = _key_at(content[start : start + LONGEST * width : width])
        if text is not None:
            end = start + len(text) * width
            yield start, text


def _key_at(window: bytes) -> bytes | None:
    """The key with which the bytes begin, if they do."""
    if window[:3] == PREFIX:
        return _derived_at(window)
    text = window[:LENGTH]
    return text if is_token(text) else None


def _derived_at(window: bytes) -> bytes | None:
    """A derived key ends where its last link and tag do; text that could belong to it may follow."""
    head = _HEAD.match(window, len(PREFIX))
    if head is None or not _decoded(head[0])[_LINKS_AT + 2 :].startswith(b'{"'):
        return None  # nearly all that is none, without a look at the rest
    run = _RUN.match(window, len(PREFIX))
    for length in _lengths(_decoded(run[0] if run is not None else b"")):
        if is_derived(window[:length]):
            return window[:length]
    return None


def _lengths(payload: bytes) -> Iterator[int]:
    """How long the text is, should it have one link, two, and so on."""
    at = _LINKS_AT
    for _ in range(MAX_LINKS):
        if at + 2 > len(payload):
            return
        at += 2 + (payload[at] << 8 | payload[at + 1])
        yield len(PREFIX) + -((at + _TAG) * -4 // 3) + _CHECK_CHARS


def _decoded(run: bytes) -> bytes:
    return a2b_base64(run[: len(run) // 4 * 4].translate(_FROM_URL))
