"""Text that callers control, as it may be written down: bounded, and without the text of a key (law 5)."""

from __future__ import annotations

import re

HIDDEN = "[key]"

_KEYS = re.compile(r"[ar]k_[0-9A-Za-z]{40,}|dk_[0-9A-Za-z_-]{40,}")
"""Anything like a key, whole or mistyped: what is a little wrong may still tell most of the secret."""


def shown(text: str, most: int) -> str:
    """The text without keys, cut to at most so many characters."""
    if "k_" in text:
        text = _KEYS.sub(HIDDEN, text)
    return text if len(text) <= most else text[: most - 1] + "…"
