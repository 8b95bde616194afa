"""Ids: a prefix and 22 base62 characters of a UUIDv7, so that ids sort by age (RFC 9562 section 5.7)."""

from __future__ import annotations

import re

from keyscope.model.token import base62

RANDOM_BYTES = 10
_KEY_ID = re.compile(r"key_[0-9A-Za-z]{22}", re.ASCII)


def format_id(prefix: str, now_ms: int, entropy: bytes) -> str:
    """An id like ``key_01JfG…`` from the time in Unix milliseconds and 10 random bytes."""
    if len(entropy) != RANDOM_BYTES:
        raise ValueError(f"an id takes {RANDOM_BYTES} random bytes, not {len(entropy)}")
    random = int.from_bytes(entropy)
    high = (now_ms & 0xFFFFFFFFFFFF) << 16 | 0x7000 | random >> 68
    low = 0b10 << 62 | random & (1 << 62) - 1
    return f"{prefix}_{base62(high << 64 | low, 22)}"


def is_key_id(text: str) -> bool:
    """Whether the text has the shape of a key id."""
    return _KEY_ID.fullmatch(text) is not None
