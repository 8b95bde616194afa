"""What HAProxy knows of a key: a line that says what it may do and until when, or that Keyscope has to be asked.

A line is written for a key that is alive; every other key that ever was is to be asked about, so that Keyscope counts
the use of a dead one. So is a key that is observed, whose would-be denials Keyscope writes down, and one that was
narrowed, whose refusals say how to take that back. A digest in neither map is no key's.

The parts of a line have fixed places, because HAProxy is quick to cut at a place and slow to look for a separator.
"""

from __future__ import annotations

from base64 import b64encode

from keyscope.gate.haproxy.bits import Bits
from keyscope.model.key import Lineage

LATEST_MS = (1 << 53) - 1
"""Stands for never: HAProxy subtracts the time from it in 64 bits with a sign."""

_NAME_BYTES = 18
"""Of a digest: 144 bits are beyond guessing, and they are written in 24 characters without padding."""
_BITS, _ENDS, _NAME, _KEY_ID = 20, 16, 24, 26
_TO_TEXT = "rtrim(;)"
"""What is cut is bytes to HAProxy, and this makes text of it, which can be a number."""

NAME_OF_TEXT = f"sha2(256),bytes(0,{_NAME_BYTES}),base64"
ENDS = f"bytes({_BITS},{_ENDS}),{_TO_TEXT}"
NAME = f"bytes({_BITS + _ENDS},{_NAME})"
KEY_ID = f"bytes({_BITS + _ENDS + _NAME},{_KEY_ID})"
ACCOUNT_ID = f"bytes({_BITS + _ENDS + _NAME + _KEY_ID})"
HOLDER = f"bytes({_BITS + _ENDS + _NAME})"
"""How HAProxy gets the name from a key's text, and each part but the first from a line; the last two together."""


def holder_of(text: str) -> tuple[str, str]:
    """The key's and the account's id, of what HAProxy got by HOLDER."""
    return text[:_KEY_ID], text[_KEY_ID:]


def name_of(digest: bytes) -> str:
    """A key's name in the maps, from the digest of its text."""
    return b64encode(digest[:_NAME_BYTES]).decode("ascii")


def is_judged_alone(lineage: Lineage, now_ms: int) -> bool:
    """Whether HAProxy can judge by the line: not what is dead, nor a key of which more is recorded or said.

    Nor one that is restricted beyond its scopes, or bound to a run, whose lease may be renewed; nor one whose id has no
    room in a line.
    """
    if lineage.bounds or lineage.stopped or now_ms >= lineage.expires_at_ms or lineage.key.is_observed_at(now_ms):
        return False
    if lineage.is_bound:
        return False
    return len(lineage.key.id) == _KEY_ID and not any(key.is_narrowed_at(now_ms) for key in lineage.line)


def line(name: str, lineage: Lineage, bits: Bits) -> str:
    """Bits, end (Unix milliseconds), name, key id, account id. The end is the earliest of the whole line of keys.

    HAProxy reads the first number up to what is no digit.
    """
    ends = min(lineage.expires_at_ms, LATEST_MS)
    key = lineage.key
    return f"{bits.of_grant(lineage.grant):;<{_BITS}}{ends:0{_ENDS}}{name}{key.id}{key.account_id}"
