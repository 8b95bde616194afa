"""What HAProxy knows of a key: a line that says what it may do and until when, or that Keyscope has to be asked.

A line is written for a key that is alive; every other key that ever was is to be asked about, so that Keyscope counts
the use of a dead one. A digest in neither map is no key's.
"""

from __future__ import annotations

from keyscope.gate.haproxy.bits import Bits
from keyscope.model.key import NEVER_MS, Lineage

LATEST_MS = (1 << 53) - 1
"""Stands for never: HAProxy subtracts the time from it in 64 bits with a sign."""


def name_of(digest: bytes) -> str:
    """A digest as HAProxy's ``hex`` writes it."""
    return digest.hex().upper()


def is_alive(lineage: Lineage, now_ms: int) -> bool:
    return not lineage.stopped and now_ms < lineage.expires_at_ms


def line(lineage: Lineage, bits: Bits) -> str:
    """``BITS;EXPIRES_AT_MS;KEY_ID;ACCOUNT_ID``. The expiry is the earliest of the whole line of keys."""
    ends = lineage.expires_at_ms if lineage.expires_at_ms < NEVER_MS else LATEST_MS
    return f"{bits.of_grant(lineage.grant)};{min(ends, LATEST_MS)};{lineage.key.id};{lineage.key.account_id}"
