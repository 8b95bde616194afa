"""Plant a large tree of keys into a database directly, through the store: minting each over HTTP would take minutes."""

from __future__ import annotations

from pathlib import Path

from keyscope.authority.mint import Wanted, draw
from keyscope.authority.ports import Writer
from keyscope.model.key import Lineage
from keyscope.model.scope import Scope
from keyscope.model.token import Kind
from keyscope.store.open import open_store
from keyscope.system import SystemClock, SystemEntropy


def plant(database: Path, root_id: str, *, generations: int, width: int) -> list[str]:
    """``width`` lines of ``generations`` keys below a key. Returns the secrets, top first."""
    store, clock, entropy = open_store(f"sqlite:///{database}"), SystemClock(), SystemEntropy()
    wanted = Wanted(kind=Kind.RESTRICTED, scopes=(Scope.parse("devboxes:read"),))
    secrets: list[str] = []

    def work(writer: Writer) -> None:
        root = writer.lineage(root_id)
        assert root is not None
        line: list[Lineage] = [root] * width
        for _ in range(generations):
            for place, parent in enumerate(line):
                minted = draw(wanted, parent.key.account_id, parent, clock.now_ms(), entropy)
                writer.add_key(minted.key)
                line[place] = Lineage(minted.key, parent)
                secrets.append(minted.secret.reveal())

    try:
        store.write(work)
    finally:
        store.close()
    return secrets
