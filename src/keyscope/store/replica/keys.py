"""The keys of a replica, for a gate on its host that keeps a copy of them in turn.

Such a gate never judges longer than the node itself may. Its leave is told to it in the time of the wall clock, which
can be set back: then it may last up to ``longest_ms`` more than was meant. So it ends so much before the lease.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from keyscope.authority.copying import MOST_TOUCHED, KeyReader, Point, Touched
from keyscope.errors import StoreUnavailable
from keyscope.store.connect import Link
from keyscope.store.readers import Readers
from keyscope.store.replica.file import BUSY_S
from keyscope.store.replica.lease import Lease
from keyscope.store.session import SqlReader
from keyscope.store.trouble import closing_the_gate
from keyscope.store.walindex import identity

T = TypeVar("T")

_TOUCHED = "SELECT key_id, is_new FROM touched WHERE number > ? ORDER BY number LIMIT ?"


class ReplicaReader(SqlReader):
    """What a KeyReader has may be asked; for the rest a replica has no tables."""

    def point(self) -> Point:
        """The sequence is that of one build of the replica: two of them may give one number to two changes."""
        return _point(self._meta())

    def touched(self, after: Point) -> Touched:
        meta = self._meta()
        here, since = _point(meta), meta.get("touched_since", 0)
        if after.sequence != here.sequence or not since <= after.number <= here.number:
            return Touched(here, too_much=True)
        rows = list(self._connection.execute(_TOUCHED, (after.number, MOST_TOUCHED)))
        if len(rows) == MOST_TOUCHED:
            return Touched(here, too_much=True)
        return Touched(here, _ids(rows, is_new=True), _ids(rows, is_new=False))

    def _meta(self) -> dict[str, Any]:
        return dict(self._connection.execute("SELECT name, value FROM meta"))


def _point(meta: Mapping[str, Any]) -> Point:
    return Point(meta.get("build", ""), meta.get("number", 0))


def _ids(rows: list[tuple[str, int]], *, is_new: bool) -> tuple[str, ...]:
    return tuple(dict.fromkeys(key_id for key_id, new in rows if bool(new) is is_new))


class ReplicaKeys:
    """May be used from any thread."""

    def __init__(self, replica: Path, lease: Lease, longest_ms: int) -> None:
        self._replica = replica.resolve()
        self._identity = identity(self._replica)
        self._lease = lease
        self._readers = Readers(lambda: Link(self._replica, BUSY_S))
        self.longest_ms = longest_ms

    def leave_ms(self) -> int:
        return min(self.longest_ms, self._lease.left_ns // 1_000_000 - self.longest_ms)

    def read(self, work: Callable[[KeyReader], T]) -> T:
        if identity(self._replica) != self._identity:
            raise StoreUnavailable(f"the replica {self._replica} was removed or replaced while in use")
        with closing_the_gate():
            return self._readers.read(lambda connection: work(ReplicaReader(connection)))

    def close(self) -> None:
        self._readers.close()
