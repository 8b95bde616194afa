"""How far keys may go, by the settings of the server."""

from __future__ import annotations

from msgspec import Struct

DAY_MS = 24 * 3600 * 1000


class Limits(Struct, frozen=True, kw_only=True):
    """``max_depth`` counts the keys of a line, the standard one included; ``max_children`` the living keys that one
    restricted key minted itself. ``restricted_may_mint_standard`` restores Runloop's documented rule, which makes
    ACCOUNT:WRITE root. Times are milliseconds.
    """

    max_depth: int = 64
    max_children: int = 1000
    max_overlap_ms: int = 7 * DAY_MS
    undelete_window_ms: int = 7 * DAY_MS
    max_observe_ms: int = 14 * DAY_MS
    restricted_may_mint_standard: bool = False
