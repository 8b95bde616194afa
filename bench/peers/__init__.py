"""Libraries that answer the question of Keyscope's verifier, or a part of it: may this credential read this devbox?

A file for each. It has ``peers(directory)``, which yields what is measured; a directory to keep files in is given.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

METHOD = "GET"
TEMPLATE = "/v1/devboxes/{id}"
PATH = "/v1/devboxes/dbx_30xQ2cP9bYyh1"
SCOPE = "devboxes:read"
COUNT = 64
"""How many credentials are shown in turn."""


class Peer(NamedTuple):
    """One way to answer. ``allows`` gets one of the credentials in turn and says yes; to ``forged`` it says no."""

    name: str
    proves: str
    credentials: Sequence[Any]
    allows: Callable[[Any], bool]
    forged: Any
