"""What the door found out about a call for the restrictions of its key: made only for keys that have some."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from msgspec import Struct

from keyscope.model.peer import Address


class BodySeen(IntEnum):
    """What is known of the members of a body that name things."""

    NOT = 0
    """They are not seen, and will not be."""
    LATER = 1
    """They are looked at before the call goes on, and then all is judged once more."""
    WHOLE = 2
    """``shown`` has them all, or there is no body."""


class Shown(Struct, frozen=True, gc=False):
    """One thing that the call names. ``id`` is None for what is no text, and so names nothing that could be known."""

    resource: str
    id: str | None
    in_path: bool = False


class Facts(Struct, frozen=True, kw_only=True):
    """``peer`` is who called, None if that is not known.

    ``owners`` has for a thing (resource type, id) the keys whose own it is: its maker, as key or derived link, and all
    above that. ``sees_reply``: the gate records what is made, and filters lists. ``counts``: it counts the call against
    the restrictions that are spent. ``sees_end``: it knows when the call is over. ``holds``: it holds the call until
    somebody has approved it.
    """

    peer: Address | None = None
    shown: tuple[Shown, ...] = ()
    body: BodySeen = BodySeen.NOT
    owners: Mapping[tuple[str, str], frozenset[str]] = {}
    sees_reply: bool = False
    counts: bool = False
    sees_end: bool = False
    holds: bool = False


NOTHING_SEEN = Facts()
"""For who sees nothing of the call but what it is."""
