"""What the parts in process measure: one decision about one call, by a verifier over a real SQLite file."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from keyscope.authority.verify import Verifier
from keyscope.errors import InvalidToken
from keyscope.serving.server import load_policy
from keyscope.store.sqlite import SqliteStore
from keyscope.system import SystemClock

HOT_KEYS = 64
PATH = "/v1/devboxes/dbx_30xQ2cP9bYyh1"


class Judge:
    """Asks the verifier about a read of one devbox."""

    def __init__(self, verifier: Verifier, operations: int = 0) -> None:
        self._decide = verifier.decide
        self.operations = operations
        """How many the policy has."""

    def allowed(self, token: bytes) -> object:
        """The decision, which the caller looks at once, beforehand."""
        return self._decide(token, "GET", PATH)

    def refused(self, token: bytes) -> None:
        """Raises AssertionError if the token is one of a key."""
        try:
            self._decide(token, "GET", PATH)
        except InvalidToken:
            return
        raise AssertionError("what is no key was taken for one")


@contextlib.contextmanager
def judge_over(database: Path) -> Iterator[Judge]:
    """A judge that reads this database through the store's own index."""
    store = SqliteStore.open(database)
    index = store.open_index()
    policy = load_policy("runloop")
    try:
        yield Judge(Verifier(index, policy.table(), SystemClock(), set()), len(policy.operations))
    finally:
        index.close()
        store.close()
