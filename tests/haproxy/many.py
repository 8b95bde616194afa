"""Many keys at once, written beside a server that is not running yet."""

from __future__ import annotations

import time
from typing import NamedTuple

from keyscope.authority.mint import Minted, Wanted, draw
from keyscope.authority.ports import Writer
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from keyscope.store.open import open_store
from keyscope.system import SystemEntropy
from tests.live import Live


class Many(NamedTuple):
    secrets: list[str]
    ids: list[str]


def minted(live: Live, count: int, *, below: str | None = None, scope: str = "devboxes:read") -> Many:
    """So many restricted keys that one key minted: the first one of the account if none is named."""
    store = open_store(f"sqlite:///{live.database}")
    now_ms = int(time.time() * 1000)

    def work(writer: Writer) -> list[Minted]:
        parent = writer.lineage(below or next(line.key.id for line in writer.lineages()))
        assert parent is not None
        made = []
        for number in range(count):
            wanted = Wanted(kind=Kind.RESTRICTED, name=f"many-{number}", scopes=(Scope.parse(scope),))
            made.append(draw(wanted, parent.key.account_id, parent, now_ms, SystemEntropy()))
            writer.add_key(made[-1].key)
        return made

    made = store.write(work)
    store.close()
    return Many([one.secret.reveal() for one in made], [one.key.id for one in made])
