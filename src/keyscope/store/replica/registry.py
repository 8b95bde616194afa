"""Who the nodes are, what each has acknowledged, and when a lease that lacks a change is surely over (decision 20).

Times are nanoseconds on this machine's own ``CLOCK_BOOTTIME``, and never compared with another machine's. A lease
begins before its beat is committed. So one without a change is over when it has lasted since the change was committed,
or since we first saw a beat that is still the newest in a look that began after the change.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

_MARGIN_NS = 50_000_000
_DRIFT = 1.01
"""No clock runs slower than this against ours."""

FORGOTTEN_NS = 600_000_000_000
"""A node that was silent for so long is taken out of the record."""


class NodeRow(Struct, frozen=True):
    """A node as the record has it. ``lease_ms`` is how long its leases last, ``number`` what it has acknowledged."""

    id: str
    name: str
    lease_ms: int
    beat: int
    number: int


class Standing(Struct, frozen=True):
    """Where the nodes stand with a change, by name. ``pending`` also has when the lease is over."""

    acknowledged: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    pending: tuple[tuple[str, int], ...] = ()


class Registry:
    """Kept by the follower of a node."""

    def __init__(self) -> None:
        self._rows: dict[str, NodeRow] = {}
        self._acknowledged: dict[str, int] = {}
        self._since: dict[str, tuple[int, int]] = {}
        """A node's newest beat, and a time at which it was committed already."""
        self._looked_ns = -1

    def looked(self, rows: Iterable[NodeRow], began_ns: int, ended_ns: int) -> None:
        """Take the rows that were read between the two times."""
        self._rows = {row.id: row for row in rows}
        self._looked_ns = began_ns
        for row in self._rows.values():
            if self._since.get(row.id, (None, 0))[0] != row.beat:
                self._since[row.id] = (row.beat, ended_ns)
            self.acknowledged(row.id, row.number)
        for gone in self._since.keys() - self._rows.keys():
            del self._since[gone]
            self._acknowledged.pop(gone, None)

    def acknowledged(self, node_id: str, number: int) -> None:
        """A node has said that it has everything up to this change."""
        self._acknowledged[node_id] = max(number, self._acknowledged.get(node_id, 0))

    def forget(self) -> None:
        """Of another record, or of this one before it was restored: nothing of it is known."""
        self._rows, self._looked_ns = {}, -1
        self._acknowledged.clear()
        self._since.clear()

    def knows(self, since_ns: int) -> bool:
        """Whether everybody is known who could have a lease without what was committed before this time."""
        return self._looked_ns >= since_ns

    def standing(self, number: int, since_ns: int, at_ns: int) -> Standing:
        """Where the nodes stand at a time with a change that was committed before ``since_ns``.

        Only once ``knows(since_ns)``.
        """
        rows = sorted(self._rows.values(), key=lambda row: row.name)
        have = {row.id for row in rows if self._acknowledged.get(row.id, 0) >= number}
        ends = {row.id: self._end_ns(row, since_ns) for row in rows if row.id not in have}
        acknowledged = tuple(dict.fromkeys(row.name for row in rows if row.id in have))
        over = dict.fromkeys(row.name for row in rows if row.id in ends and ends[row.id] <= at_ns)
        return Standing(
            acknowledged=acknowledged,
            closed=tuple(name for name in over if name not in acknowledged),  # it was killed, and started again
            pending=tuple((row.name, ends[row.id]) for row in rows if row.id in ends and ends[row.id] > at_ns),
        )

    def forgotten(self, at_ns: int) -> list[NodeRow]:
        """Those who were silent for so long that nobody needs to know of them."""
        return [row for row in self._rows.values() if at_ns - self._since[row.id][1] > FORGOTTEN_NS]

    def _end_ns(self, row: NodeRow, since_ns: int) -> int:
        beaten_ns = self._since[row.id][1]
        return min(since_ns, beaten_ns) + int(row.lease_ms * 1_000_000 * _DRIFT) + _MARGIN_NS
