"""Trails with known content."""

from __future__ import annotations

from pathlib import Path

from keyscope.authority.checkpoint import Checkpoint, Signer
from keyscope.authority.trail import MINUTE_MS, Batch, Entry, UseCount
from keyscope.model.scope import Scope
from keyscope.store.trail import SqliteTrail
from keyscope.store.trail_open import open_trail, reading_trail
from keyscope.store.trail_verify import Finding, Walk

MINUTE = 1_800_000_000_000
"""The first minute of everything here."""
SIGNER = Signer(bytes(range(32)))
READ = (Scope.parse("devboxes:read"),)


def denial(at_ms: int, key_id: str = "key_a", **more: object) -> Entry:
    members = {"code": "insufficient_scope", "chain": (key_id, "key_top"), "operation": "createDevbox", **more}
    return Entry(at_ms=at_ms, kind="call.denied", account_id="acc_1", key_id=key_id, **members)  # type: ignore[arg-type]


def uses(
    calls: int, minute_ms: int = MINUTE, key_id: str = "key_a", operation: str | None = "listDevboxes"
) -> UseCount:
    return UseCount(
        account_id="acc_1", key_id=key_id, operation=operation, needs=READ, minute_ms=minute_ms, calls=calls
    )


def filled(path: Path) -> Checkpoint:
    """A trail in this file: ten denials, three minutes of counts, all sealed, and a checkpoint at its end."""
    trail = open_trail(path)
    trail.begin(0, MINUTE)
    for minute in range(3):
        at_ms = MINUTE + minute * MINUTE_MS
        denials = [denial(at_ms + n, f"key_{n}", path=f"/v1/devboxes/{n}") for n in range(3)]
        trail.append(Batch(denials, [uses(5 + minute, at_ms)]), at_ms)
    trail.append(Batch([denial(MINUTE + 10 * MINUTE_MS)]), MINUTE + 10 * MINUTE_MS)
    made = trail.checkpoint(SIGNER, MINUTE + 11 * MINUTE_MS)
    assert made is not None
    trail.close()
    return made


def findings(path: Path, *kept: Checkpoint, key: str | None = SIGNER.key) -> list[Finding]:
    with reading_trail(path) as connection:
        return list(Walk(connection, key, None).findings(kept))


def numbers(trail: SqliteTrail) -> list[int]:
    from keyscope.authority.trail import EntryQuery

    page = trail.entries(EntryQuery(account_id=None, limit=10_000, after=0))
    return [entry.number for entry in page.items]
