"""What HAProxy knows of a key: a line that says what it may do and until when, or that Keyscope has to be asked.

A line is written for a key that is alive; every other key that ever was is to be asked about, so that Keyscope counts
the use of a dead one. So is a key that is observed, whose would-be denials Keyscope writes down, and one that was
narrowed, whose refusals say how to take that back. A digest in neither map is no key's.
"""

from __future__ import annotations

from keyscope.gate.haproxy.bits import Bits
from keyscope.model.key import NEVER_MS, Lineage

LATEST_MS = (1 << 53) - 1
"""Stands for never: HAProxy subtracts the time from it in 64 bits with a sign."""


def name_of(digest: bytes) -> str:
    """A digest as HAProxy's ``hex`` writes it."""
    return digest.hex().upper()


def is_judged_alone(lineage: Lineage, now_ms: int) -> bool:
    """Whether HAProxy can judge by the line: not what is dead, nor a key of which more is recorded or said."""
    if lineage.stopped or now_ms >= lineage.expires_at_ms or lineage.key.is_observed_at(now_ms):
        return False
    return not any(key.is_narrowed_at(now_ms) for key in lineage.line)


def line(lineage: Lineage, bits: Bits) -> str:
    """``BITS;EXPIRES_AT_MS;KEY_ID;ACCOUNT_ID``. The expiry is the earliest of the whole line of keys."""
    ends = lineage.expires_at_ms if lineage.expires_at_ms < NEVER_MS else LATEST_MS
    return f"{bits.of_grant(lineage.grant)};{min(ends, LATEST_MS)};{lineage.key.id};{lineage.key.account_id}"
