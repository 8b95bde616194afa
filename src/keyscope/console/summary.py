"""What a grant comes to in plain words: what it may do, what it may not, and what of it cannot be undone."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from keyscope.model.operation import Operation
from keyscope.model.scope import Grant, Level
from keyscope.policy.document import Policy, ResourceType
from keyscope.policy.own import own_ids

_VERBS = {Level.NONE: "No access to", Level.READ: "Can read", Level.WRITE: "Can read and change"}


class Reach(Struct, frozen=True):
    """One resource type: how far, and how many of the operations that first ask for it."""

    resource: str
    about: str
    level: Level
    may: int
    of: int

    @property
    def sentence(self) -> str:
        return f"{_VERBS[self.level]} {self.resource.replace('_', ' ')}"


class Summary(Struct, frozen=True):
    """``destroys`` are the resource types of which it can end instances; ``credentials`` the operations that hand it
    live credentials.
    """

    reaches: tuple[Reach, ...]
    may: int
    of: int
    destroys: tuple[str, ...]
    credentials: tuple[str, ...]

    @property
    def can(self) -> tuple[Reach, ...]:
        return tuple(reach for reach in self.reaches if reach.level)

    @property
    def cannot(self) -> tuple[Reach, ...]:
        return tuple(reach for reach in self.reaches if not reach.level)


def summary(policy: Policy, grant: Grant | None) -> Summary:
    """Of a grant; None stands for full access. Keyscope's own operations are left out: they are not the API's."""
    own = own_ids()
    operations = [row for row in policy.operations if row.id not in own]
    allowed = [row for row in operations if grant is None or not grant.missing(row.needs)]
    return Summary(
        reaches=tuple(_reaches(policy.resource_types, grant, operations, allowed)),
        may=len(allowed),
        of=len(operations),
        destroys=tuple(dict.fromkeys(row.destroys for row in allowed if row.destroys is not None)),
        credentials=tuple(row.id for row in allowed if row.credentials),
    )


def _reaches(
    types: tuple[ResourceType, ...], grant: Grant | None, operations: list[Operation], allowed: list[Operation]
) -> Iterator[Reach]:
    for kind in types:
        level = Level.WRITE if grant is None else grant.level(kind.name)
        yield Reach(kind.name, kind.description, level, _about(allowed, kind.name), _about(operations, kind.name))


def _about(operations: list[Operation], resource: str) -> int:
    return sum(bool(row.needs) and row.needs[0].resource == resource for row in operations)
