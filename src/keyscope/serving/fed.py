"""Put together what feeds a HAProxy: the keys that it is told, and the store that takes what it has done."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from keyscope.authority.copying import Keys, StoreKeys
from keyscope.authority.ports import Store
from keyscope.errors import ConfigurationError, Fault
from keyscope.gate.followers import folder_beside
from keyscope.gate.haproxy.configuration import LEASE_MS
from keyscope.store.open import files_beside, open_store
from keyscope.store.postgres.address import is_postgres


class Fed(NamedTuple):
    """``beside`` is the path that the server's own files are named after, ``followed`` the folder of its followers."""

    store: Store
    keys: Keys
    beside: Path
    followed: Path


@contextlib.contextmanager
def fed(database: str, replica: Path, longest_ms: int = LEASE_MS) -> Iterator[Fed]:
    """With PostgreSQL the keys are those of the node's replica. Raises ConfigurationError."""
    beside = files_beside(database, replica)
    if beside is None:
        raise ConfigurationError(
            "memory", [Fault("--database", "HAProxy reads the keys from a file; use sqlite:///FILE")]
        )
    with contextlib.ExitStack() as stack:
        store, keys = (
            _of_node(database, beside, longest_ms, stack) if is_postgres(database) else _alone(database, longest_ms)
        )
        stack.callback(store.close)
        yield Fed(store, keys, beside, folder_beside(beside.resolve()))


def _alone(database: str, longest_ms: int) -> tuple[Store, Keys]:
    store = open_store(database)
    return store, StoreKeys(store, longest_ms)


def _of_node(database: str, replica: Path, longest_ms: int, stack: contextlib.ExitStack) -> tuple[Store, Keys]:
    from keyscope.store.replica.keys import ReplicaKeys
    from keyscope.store.replica.store import ReplicaStore  # PostgreSQL's client: it takes a while, and not all need it

    store = ReplicaStore.open(database, replica)
    keys = ReplicaKeys(replica, store.lease, longest_ms)
    stack.callback(keys.close)
    return store, keys
