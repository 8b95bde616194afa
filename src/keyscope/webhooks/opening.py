"""Put together what the webhooks of one database need: the outbox and the key of its secrets, in files beside it."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from keyscope.authority.ports import Entropy
from keyscope.store.outbox import SqliteOutbox, open_outbox, outbox_beside
from keyscope.webhooks.signing import SECRET_BYTES, Sealer, sealer_beside

_LOCK = ".lock"


class Kept(Struct, frozen=True):
    """``lock`` is the file that says which process delivers; None where there is only one."""

    outbox: SqliteOutbox
    sealer: Sealer
    lock: Path | None


def kept_for(beside: Path | None, entropy: Entropy) -> Kept:
    """What is kept beside a file; None: in memory. Raises ConfigurationError."""
    random = entropy.random_bytes(SECRET_BYTES)
    if beside is None:
        return Kept(open_outbox(None), Sealer(random), None)
    outbox = outbox_beside(beside)
    return Kept(open_outbox(outbox), sealer_beside(beside, random), outbox.with_name(outbox.name + _LOCK))
