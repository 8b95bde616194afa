"""What a check of a policy found, as plain values that can be shown or sent as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum

from msgspec import Struct

from keyscope.policy.overlaps import Overlap


class Kind(StrEnum):
    """What sort of thing is wrong."""

    UNMAPPED = "unmapped"
    """An operation of the API that no row speaks of."""
    DEAD = "dead"
    """A row, or a mark on one, that stands for nothing in the API."""
    CONTRADICTORY = "contradictory"
    """A row that disagrees with itself, with another row or with the API's document."""
    DUBIOUS = "dubious"
    """Probably not meant; never an error."""


class Finding(Struct, frozen=True):
    """One finding: ``call`` says where, ``message`` what and how to mend it."""

    kind: Kind
    call: str
    message: str

    @property
    def is_error(self) -> bool:
        return self.kind is not Kind.DUBIOUS

    def __str__(self) -> str:
        return f"{self.kind}: {self.call}: {self.message}"


class Report(Struct, frozen=True):
    """All findings about a policy, and how each overlap of its rows is settled."""

    policy: str
    operations: int
    findings: tuple[Finding, ...]
    overlaps: tuple[Overlap, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.is_error)

    @property
    def ok(self) -> bool:
        """Whether there is no error; dubious findings do not count."""
        return not self.errors

    def lines(self) -> Iterator[str]:
        """The report for people: the findings, the overlaps, and a last line that sums up."""
        yield from map(str, self.findings)
        yield from map(str, self.overlaps)
        yield f"{self.policy}: {', '.join(self._counts())}"

    def _counts(self) -> Iterator[str]:
        ties = sum(overlap.is_tie for overlap in self.overlaps)
        yield _count(self.operations, "operation")
        yield _count(len(self.errors), "error")
        yield f"{len(self.findings) - len(self.errors)} dubious"
        yield f"{_count(len(self.overlaps), 'overlap')} ({_count(ties, 'true tie')})"

    def __str__(self) -> str:
        return "\n".join(self.lines())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
