"""Which things a path names: the section ``collections`` maps a template, up to a parameter, to a resource type.

``/v1/devboxes/{id}: devboxes`` says of every path that begins so that this segment is the id of a devbox, whatever the
parameter is called. A parameter that names nothing by itself is said to, with ``null``.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct
from msgspec.structs import replace

from keyscope.model.operation import PARAMETER, Operation
from keyscope.policy.rows import Names, template_problems
from keyscope.policy.source import Place

Segments = tuple[str, ...]


class Collection(Struct, frozen=True):
    """``resource`` None: the last segment names nothing by itself."""

    template: str
    segments: Segments
    resource: str | None


def read_collections(place: Place | None, names: Names) -> tuple[Collection, ...]:
    """The collections of a policy file, in its order."""
    found: dict[Segments, Collection] = {}
    for template, member in (place.members() if place else {}).items():
        segments = segments_of(template)
        problems = list(template_problems(template))
        if not problems and segments[-1] != PARAMETER:
            problems.append("it ends with the {parameter} that it is about")
        for problem in problems:
            member.fault(f"{template!r} is not a path template of a collection: {problem}.")
        if segments in found:
            member.fault(f"{template!r} is the same as {found[segments].template!r}: remove one of the two.")
        resource = None if member.is_null else names.resource(member)
        found.setdefault(segments, Collection(template, segments, resource))
    return tuple(found.values())


def segments_of(template: str) -> Segments:
    """The template's segments, each parameter as ``{}``."""
    return tuple(PARAMETER if part.startswith("{") else part for part in template.split("/")[1:])


def located(operation: Operation, collections: tuple[Collection, ...]) -> Operation:
    """The operation, with the segments of its path that name things."""
    known = {collection.segments: collection.resource for collection in collections}
    named = ((at, known.get(operation.segments[: at + 1])) for at in parameters(operation))
    return replace(operation, instances=tuple((at, resource) for at, resource in named if resource is not None))


def parameters(operation: Operation) -> Iterator[int]:
    """The numbers of the segments that are parameters, from 0."""
    return (at for at, segment in enumerate(operation.segments) if segment == PARAMETER)
