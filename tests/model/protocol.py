"""Feed, lease and receipt as a machine of small states: all that can happen, in any order (docs/decisions/0020).

The record commits revocations, numbered from 1, one for each key. Each node keeps what it has applied and a lease, and
holds one conversation with the record: it asks, the record commits the question (a beat), then the changes are read,
then the node applies them, and only now its lease counts, from when the question was sent. On a NOTIFY or a poll it
also reads without asking, which gives no lease. A revocation's receipt is given when every node has acknowledged its
number or can have no lease without it any more.

Nothing says when a step is taken, or that it ever is. So lost and late messages, a slow network and paused processes
are no faults of their own here: they are runs in which a step comes late or never. Time passes in ticks, between any
two steps. What a node has acknowledged stays true, so a word of it that comes late is a receipt that comes late. And a
node that needs changes which the record has dropped copies everything, which is reading them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from enum import Enum, auto
from functools import cache
from typing import NamedTuple

KEYS = 2
DONE = -1
"""In ``World.waits``: the receipt was given."""


class Bug(Enum):
    """What somebody might build instead. Each of these is found."""

    LEASE_FROM_THE_ANSWER = auto()
    """The lease is measured from when the answer came."""
    LEASE_BY_THE_WALL_CLOCK = auto()
    """A clock that is set back makes it longer."""
    CLOCK_STOPS_IN_SLEEP = auto()
    """The lease's clock stands while the machine sleeps. Or a timer closes the node, and comes late after a pause."""
    LEASE_OUTLIVES_THE_BOOT = auto()
    """The end of the lease is read from a file after a restart, on a clock that began anew."""
    READ_BEFORE_THE_BEAT = auto()
    """The changes are read in the transaction of the beat, before it is committed."""
    READING_IS_ENOUGH = auto()
    """Reading alone gives a lease."""
    BEATS_ARE_LOCAL = auto()
    """A beat's commit does not wait for the standby, so a record whose place was taken goes on giving leases."""
    ACKNOWLEDGED_BEFORE_APPLIED = auto()
    """The node acknowledges what it has received."""
    NUMBERS_BEFORE_COMMITS = auto()
    """Numbers are given before the commit, so a reader can skip one that is committed late."""
    NO_MARGIN = auto()
    """Whoever waits believes that no clock is slower than its own."""
    SILENT_IS_DEAD = auto()
    """A node that was not heard for a moment is not waited for, however long its lease may run."""
    READS_FROM_THE_OLD = auto()
    """Beats go to the new record, over one connection, and the changes come from the old, over another one."""
    LOOKS_AT_THE_OLD = auto()
    """Whoever waits looks at the nodes in a record whose place was taken: they fell silent there."""
    SKIPS_WHAT_WAS_DROPPED = auto()
    """The record has dropped old changes, and a node that needs them goes on from those that are left."""
    STANDBY_LAGS = auto()
    """A standby takes over that does not have everything that was committed."""


class Talk(NamedTuple):
    """A node's conversation. ``age``: ticks since the question was sent. ``upto``: the log that was read."""

    stage: str = ""
    age: int = 0
    upto: int = 0


NO_TALK = Talk()


class Node(NamedTuple):
    """``applied`` is a set of revocations as bits, ``number`` the one up to which the node believes to have all.

    ``silent`` is what the record knows of it: ticks since its last beat.
    """

    applied: int = 0
    number: int = 0
    lease: int = 0
    talk: Talk = NO_TALK
    silent: int = 0


class World(NamedTuple):
    """``log``: what is committed, as bits. ``waits``: by revocation, None before it, then ticks, then DONE.

    ``old``: the log of a record whose place a standby has taken, and that does not know it.
    """

    nodes: tuple[Node, ...]
    log: int = 0
    waits: tuple[int | None, ...] = (None,) * KEYS
    old: int | None = None


def breaks_the_law(world: World) -> bool:
    """Some node would accept a key although the receipt of its revocation was given."""
    dead = sum(1 << key for key, wait in enumerate(world.waits) if wait == DONE)
    return any(node.lease > 0 and dead & ~node.applied for node in world.nodes)


class Protocol:
    """What can happen next, with at most one deliberate bug.

    ``lease`` is how long one can last in true ticks, on the slowest clock that is allowed.
    """

    def __init__(self, lease: int, bug: Bug | None = None) -> None:
        self.lease = lease
        self.bug = bug
        self.wait = lease - 1 if bug is Bug.NO_MARGIN else lease
        self.silence = 1 if bug is Bug.SILENT_IS_DEAD else self.wait
        self._node_steps = cache(lambda node, log, old: list(self._node(node, log, old)))
        self._older = cache(self._tick_node)

    def first(self, nodes: int) -> World:
        return World(nodes=(Node(silent=self.lease),) * nodes)

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Every next world, each with a name for people. Nodes are kept in order, for they are all alike."""
        yield "time passes", self._tick(world)
        yield from self._commits(world)
        yield from self._receipts(world)
        if world.old is None:
            yield "a standby takes over", self._take_over(world)
        for place, node in enumerate(world.nodes):
            rest = world.nodes[:place] + world.nodes[place + 1 :]
            if node not in rest[:place]:
                for name, after in self._node_steps(node, world.log, world.old):
                    yield name, World(tuple(sorted((*rest, after))), *world[1:])

    def _tick(self, world: World) -> World:
        waits = tuple(wait if wait in (None, DONE) else min((wait or 0) + 1, self.lease) for wait in world.waits)
        return world._replace(nodes=tuple(sorted(map(self._older, world.nodes))), waits=waits)

    def _tick_node(self, node: Node) -> Node:
        talk = node.talk
        if talk.stage:
            # A question as old as a lease gives none, so it may as well be lost: its beat would only delay receipts.
            talk = talk._replace(age=talk.age + 1) if talk.age + 1 < self.lease else NO_TALK
        return node._replace(lease=max(0, node.lease - 1), talk=talk, silent=min(node.silent + 1, self.lease))

    def _commits(self, world: World) -> Iterator[tuple[str, World]]:
        for key, wait in enumerate(world.waits):
            in_turn = all(earlier is not None for earlier in world.waits[:key])
            if wait is None and (in_turn or self.bug is Bug.NUMBERS_BEFORE_COMMITS):
                waits = (*world.waits[:key], 0, *world.waits[key + 1 :])
                yield f"revocation {key + 1} is committed", world._replace(log=world.log | 1 << key, waits=waits)

    def _receipts(self, world: World) -> Iterator[tuple[str, World]]:
        for key, wait in enumerate(world.waits):
            if wait is not None and wait != DONE and self._is_receipted(world, key, wait):
                waits = (*world.waits[:key], DONE, *world.waits[key + 1 :])
                yield f"receipt {key + 1} is given", world._replace(waits=waits)

    def _is_receipted(self, world: World, key: int, wait: int) -> bool:
        if wait >= self.wait:
            return True
        return all(self._acknowledged(node) > key or node.silent >= self.silence for node in world.nodes)

    def _acknowledged(self, node: Node) -> int:
        if self.bug is Bug.ACKNOWLEDGED_BEFORE_APPLIED and node.talk.stage == "read":
            return max(node.number, node.talk.upto.bit_length())
        return node.number

    def _take_over(self, world: World) -> World:
        """The old record lives on: it can be read, but its commits wait for a standby that has left."""
        nodes = tuple(
            node._replace(talk=node.talk._replace(stage="beaten by the old")) if node.talk.stage == "beaten" else node
            for node in world.nodes
        )
        log = 0 if self.bug is Bug.STANDBY_LAGS else world.log
        return world._replace(old=world.log, log=log, nodes=tuple(sorted(nodes)))

    def _node(self, node: Node, log: int, old: int | None) -> Iterator[tuple[str, Node]]:
        """What one node can do, and what the record can do in a conversation with it."""
        stage, age, upto = node.talk
        if not stage:
            yield "a node asks", node._replace(talk=Talk("asked"))
            yield from self._reads(node, log, old)
        elif stage == "asked" and self.bug is not Bug.READ_BEFORE_THE_BEAT:
            unseen = self.bug is Bug.LOOKS_AT_THE_OLD and old is not None
            yield "its beat is committed", node._replace(talk=Talk("beaten", age), silent=node.silent if unseen else 0)
            if self.bug is Bug.BEATS_ARE_LOCAL and old is not None:
                yield "its beat is committed by the old", node._replace(talk=Talk("beaten by the old", age))
        elif stage != "read":
            from_old = stage == "beaten by the old" or self.bug is Bug.READS_FROM_THE_OLD
            seen = old if from_old and old is not None else log
            yield "the changes are read for it", node._replace(talk=Talk("read", age, seen))
        else:
            yield "it applies them", self._leased(self._applied(node, upto, old), age)
        yield from self._troubles(node)

    def _reads(self, node: Node, log: int, old: int | None) -> Iterator[tuple[str, Node]]:
        """From the record, or from one whose place was taken: nobody has told the node."""
        for seen in (log, old):
            if seen is not None:
                after = self._applied(node, seen, old)
                enough = self.bug is Bug.READING_IS_ENOUGH
                yield "a node reads and applies", after._replace(lease=self.lease) if enough else after

    def _leased(self, node: Node, age: int) -> Node:
        age = 0 if self.bug is Bug.LEASE_FROM_THE_ANSWER else age
        silent = 0 if self.bug is Bug.READ_BEFORE_THE_BEAT else node.silent
        return node._replace(lease=max(node.lease, self.lease - age), talk=NO_TALK, silent=silent)

    def _applied(self, node: Node, seen: int, old: int | None) -> Node:
        if self.bug is Bug.STANDBY_LAGS and old is not None:
            return node._replace(applied=seen, number=seen.bit_length())  # another history: built anew
        news = seen >> node.number << node.number
        if self.bug is Bug.SKIPS_WHAT_WAS_DROPPED:
            news &= 1 << seen.bit_length() >> 1
        return node._replace(applied=node.applied | news, number=max(node.number, seen.bit_length()))

    def _troubles(self, node: Node) -> Iterator[tuple[str, Node]]:
        lasts = self.bug is Bug.LEASE_OUTLIVES_THE_BOOT and node.lease
        yield "a node starts again", node._replace(lease=self.lease if lasts else 0, talk=NO_TALK)
        if node.talk.stage:
            yield "a connection is lost", node._replace(talk=NO_TALK)
        if self.bug is Bug.LEASE_BY_THE_WALL_CLOCK and node.lease:
            yield "a clock is set back", node._replace(lease=self.lease)
        if self.bug is Bug.CLOCK_STOPS_IN_SLEEP and 0 < node.lease < self.lease:
            yield "a node has slept", node._replace(lease=node.lease + 1)


class Explored(NamedTuple):
    """How many worlds there are, and the shortest way to one that breaks the law, if there is one."""

    worlds: int
    way: list[str]


def explore(protocol: Protocol, nodes: int) -> Explored:
    """Every world that can be reached, nearest first, until one breaks the law."""
    first = protocol.first(nodes)
    came_from: dict[World, tuple[str, World] | None] = {first: None}
    waiting = deque([first])
    while waiting:
        world = waiting.popleft()
        for name, after in protocol.steps(world):
            if after not in came_from:
                came_from[after] = (name, world)
                if breaks_the_law(after):
                    return Explored(len(came_from), _way(came_from, after))
                waiting.append(after)
    return Explored(len(came_from), [])


def _way(came_from: dict[World, tuple[str, World] | None], world: World) -> list[str]:
    way: list[str] = []
    while (step := came_from[world]) is not None:
        name, world = step
        way.append(name)
    return way[::-1]
