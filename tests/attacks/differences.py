"""Rows whose verdict this product misses on purpose, each with a safe verdict instead and the reason."""

from __future__ import annotations

from dataclasses import dataclass

from tests.attacks.rows import API, PROXY


@dataclass(frozen=True)
class Difference:
    """What the product answers instead, and why that is safe."""

    verdict: str
    reason: str


DIFFERENCES = {
    ("bdy-090", API): Difference(
        "200", "GET on this path is Keyscope's own list of keys: it reads no body and makes no key"
    ),
    ("hdr-052", PROXY): Difference(
        "415", "the operation is judged by its body, which must then say that it is JSON; the row sends no Content-Type"
    ),
}
"""By row id and face."""
