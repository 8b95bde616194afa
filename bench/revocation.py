"""A key's death and birth, as its holder sees them: how soon a new key is taken, and how soon a revoked one is not.

Each cycle mints a key, uses it until it is taken, revokes it, and uses it until it is refused. Management and use go
over two kept connections to the same server, so that the first use after an answer is on its way some 30 µs later.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from bench import keys
from bench.connection import Connection, connected
from bench.measure import percentile
from bench.report import Row, at_most, known

_SCOPES = [{"resource_type": "RESOURCE_TYPE_DEVBOXES", "access_level": "ACCESS_LEVEL_READ"}]
_LIMIT_S = 5.0


class Cycle(NamedTuple):
    """Milliseconds of one key's life, and how often it was accepted after its revocation had been answered."""

    mint_ms: float
    usable_ms: float
    """From the answer to the mint to the answer to the first use that was taken."""
    revoke_ms: float
    refused_ms: float
    """From the answer to the revocation to the first refusal."""
    again_ms: float
    """The same call once more, refused again: what of ``refused_ms`` is the call itself."""
    accepted: int


def cycles(url: str, path: str, count: int, fields: Sequence[str] = ()) -> list[Cycle]:
    """So many lives. A use is a GET of the path, with these fields."""
    with connected(url) as managing, connected(url, fields) as using:
        return [_cycle(managing, using, path) for _ in range(count)]


def rows(found: list[Cycle], refused_bound_ms: float | None = None) -> list[Row]:
    accepted = float(sum(cycle.accepted for cycle in found))
    target = known() if refused_bound_ms is None else at_most(refused_bound_ms)
    parts = (
        ("mint, until it is answered", [cycle.mint_ms for cycle in found], known()),
        ("mint answered, until the key is taken", [cycle.usable_ms for cycle in found], known()),
        ("revoke, until it is answered", [cycle.revoke_ms for cycle in found], known()),
        ("revoke answered, until the next use is refused", [cycle.refused_ms for cycle in found], target),
        ("the same call refused once more", [cycle.again_ms for cycle in found], known()),
    )
    return [
        row
        for what, values, bound in parts
        for row in (
            Row(f"{what}, p50", median(values), "ms", known()),
            Row(f"{what}, p99", percentile(values, 0.99), "ms", bound),
        )
    ] + [Row(f"uses accepted after the revocation was answered, of {len(found):,} keys", accepted, "uses", at_most(0))]


def _cycle(managing: Connection, using: Connection, path: str) -> Cycle:
    owner, began = keys.secret(0).reveal(), time.perf_counter()
    reply = managing.ask("POST", "/v1/restricted_keys", owner, {"name": "short-lived", "scopes": _SCOPES})
    minted = time.perf_counter()
    if reply.status != 200:
        raise RuntimeError(f"a mint was answered {reply.status} {reply.body[:500]!r}")
    made = json.loads(reply.body)
    _uses_until(using, path, made["key_secret"], 200)
    taken = time.perf_counter()
    reply = managing.ask("POST", f"/v1/restricted_keys/{made['id']}/revoke", owner, {})
    revoked = time.perf_counter()
    if reply.status != 200:
        raise RuntimeError(f"a revocation was answered {reply.status} {reply.body[:500]!r}")
    accepted = _uses_until(using, path, made["key_secret"], 401)
    refused = time.perf_counter()
    using.ask("GET", path, made["key_secret"])
    again = time.perf_counter()
    return Cycle(
        mint_ms=(minted - began) * 1000,
        usable_ms=(taken - minted) * 1000,
        revoke_ms=(revoked - taken) * 1000,
        refused_ms=(refused - revoked) * 1000,
        again_ms=(again - refused) * 1000,
        accepted=accepted,
    )


def _uses_until(using: Connection, path: str, key: str, wanted: int) -> int:
    """How many uses were answered otherwise before one was answered as wanted."""
    end, others = time.monotonic() + _LIMIT_S, 0
    while (status := using.ask("GET", path, key).status) != wanted:
        others += 1
        if time.monotonic() > end:
            raise RuntimeError(f"a use was answered {status}, not {wanted}, for {_LIMIT_S} s")
    return others
