"""Put together what the webhooks of one database need: the outbox and the key of its secrets, in files beside it."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from keyscope.authority.ports import Entropy
from keyscope.store.open import SQLITE, sqlite_path
from keyscope.store.outbox import SqliteOutbox, open_outbox, outbox_beside
from keyscope.webhooks.signing import SECRET_BYTES, Sealer, sealer_beside

_LOCK = ".lock"


class Kept(Struct, frozen=True):
    """``lock`` is the file that says which process delivers; None where there is only one."""

    outbox: SqliteOutbox
    sealer: Sealer
    lock: Path | None


def kept_for(database: str, entropy: Entropy) -> Kept:
    """What belongs to the database at this URL. Raises ConfigurationError."""
    random = entropy.random_bytes(SECRET_BYTES)
    if not database.startswith(SQLITE):
        return Kept(open_outbox(None), Sealer(random), None)
    path = sqlite_path(database)
    beside = outbox_beside(path)
    return Kept(open_outbox(beside), sealer_beside(path, random), beside.with_name(beside.name + _LOCK))
