"""Overlaps: pairs of rows that some call matches both, and how the table settles each.

Literal segments win. A true tie, where each template is literal in a place where the other is not, needs the scopes
of every row in it. The table itself is asked, so this list cannot disagree with what is enforced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import combinations

from msgspec import Struct

from keyscope.model.operation import PARAMETER, Operation, Route, Table, overlap


class Overlap(Struct, frozen=True):
    """Two rows of one method with calls in common.

    ``settled`` are the rows that decide these calls: one where a literal wins, two or more in a true tie, none where
    a third, more literal template takes them and lacks the method. ``needs`` are the scopes in the short form.
    """

    one: str
    other: str
    settled: tuple[str, ...]
    needs: tuple[str, ...]
    differ: bool
    """Whether the two rows ask for different scopes, those of their bodies included."""
    disjoint: bool
    """Whether the two rows ask for no resource type in common."""

    @property
    def is_tie(self) -> bool:
        return len(self.settled) > 1

    def __str__(self) -> str:
        if self.is_tie:
            return f"true tie: needs the scopes of all ({' '.join(self.needs) or 'none'}): {', '.join(self.settled)}"
        losers = ", ".join(call for call in (self.one, self.other) if call not in self.settled)
        if not self.settled:
            return f"refused: a more literal template without this method takes the calls common to {losers}"
        return f"literal wins: {self.settled[0]} over {losers}"


def overlaps(operations: Iterable[Operation]) -> tuple[Overlap, ...]:
    """Every pair of rows that some call matches both, in the order of the rows."""
    table = Table(operations)
    return tuple(_settled(one, other, meeting(table, one, other)) for one, other in overlapping(table))


def overlapping(rows: Iterable[Operation]) -> Iterator[tuple[Operation, Operation]]:
    """The pairs of rows of one method whose templates overlap."""
    return (
        (one, other)
        for one, other in combinations(rows, 2)
        if one.method == other.method and overlap(one.segments, other.segments)
    )


def meeting(table: Table, one: Operation, other: Operation) -> Route | None:
    """What the table makes of the calls that two overlapping rows have in common."""
    return table.find(one.method, sample(unify(one.segments, other.segments)))


def unify(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...]:
    """The template of the calls that two overlapping templates have in common."""
    return tuple(b if a == PARAMETER else a for a, b in zip(one, other, strict=True))


def sample(segments: tuple[str, ...]) -> str:
    """A path that this template matches and that no literal of another template happens to equal."""
    return "/" + "/".join(segments)


def _settled(one: Operation, other: Operation, route: Route | None) -> Overlap:
    return Overlap(
        one=one.call,
        other=other.call,
        settled=tuple(row.call for row in route.operations) if route else (),
        needs=tuple(map(str, route.needs)) if route else (),
        differ=_demands(one) != _demands(other),
        disjoint=not {scope.resource for scope in one.needs} & {scope.resource for scope in other.needs},
    )


def _demands(row: Operation) -> tuple[frozenset[object], frozenset[object]]:
    return frozenset(row.needs), frozenset((condition.when.text, condition.needs) for condition in row.body)
