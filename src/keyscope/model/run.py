"""What a key is bound to: a run of an agent, by the devbox that it happens in, by a lease that it renews, or both."""

from __future__ import annotations

import re

from msgspec import Struct
from msgspec.structs import replace

_ID = re.compile(r"[A-Za-z0-9_-]{1,256}", re.ASCII)
LEAST_LEASE_MS = 1_000
MOST_LEASE_MS = 30 * 24 * 3600 * 1000


class Run(Struct, frozen=True, kw_only=True, gc=False):
    """The key dies when the devbox is seen to end, and when the lease was not renewed by ``lease_until_ms``.

    ``lease_ms`` is how long a renewal lasts, in milliseconds. Times are Unix milliseconds.
    """

    devbox_id: str | None = None
    lease_ms: int | None = None
    lease_until_ms: int | None = None

    def renewed(self, now_ms: int) -> Run:
        """The same, its lease begun anew; as it is, if it has none."""
        return self if self.lease_ms is None else replace(self, lease_until_ms=now_ms + self.lease_ms)


def is_instance_id(text: str) -> bool:
    """Whether an API would take this for the id of one of its things."""
    return _ID.fullmatch(text) is not None
