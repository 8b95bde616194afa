"""Rows whose verdict this product misses on purpose, each with a safe verdict instead and the reason."""

from __future__ import annotations

from dataclasses import dataclass

from tests.attacks.rows import API


@dataclass(frozen=True)
class Difference:
    """What the product answers instead, and why that is safe."""

    verdict: str
    reason: str


DIFFERENCES = {
    ("bdy-090", API): Difference(
        "200", "GET on this path is Keyscope's own list of keys: it reads no body and makes no key"
    ),
}
"""By row id and face."""
