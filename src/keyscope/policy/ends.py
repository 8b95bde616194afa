"""How the gate sees that a thing has ended, so that the keys that are bound to it end, too (docs/runs.md).

The section ``ends`` names one resource type. ``one`` is the path of one of its instances: a call below it that
``destroys`` the type has ended that instance once it succeeds. The replies of the rows ``in`` hold its status ``at`` a
path, and it has ended when that is one of the words ``when``.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from keyscope.model.body import JsonPath
from keyscope.model.operation import PARAMETER, Operation, Sign
from keyscope.policy.rows import Names, read_path, template_problems
from keyscope.policy.source import Place, near


def with_signs(place: Place | None, names: Names, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    """The operations, each with the sign that it gives, if any."""
    members = place.members() if place else {}
    if place and len(members) != 1:
        place.fault("Name one resource type, whose instances keys can be bound to.")
    for name, member in members.items():
        if names.resource(member, name) is not None:
            return _marked(member, name, operations)
    return operations


def _marked(place: Place, resource: str, operations: tuple[Operation, ...]) -> tuple[Operation, ...]:
    parts = place.record(("one", "in", "at", "when"), ())
    one = _segments(parts["one"]) if "one" in parts else ()
    at = read_path(parts["at"]) if "at" in parts else None
    words = tuple(text for item in parts["when"].items() if (text := item.text())) if "when" in parts else ()
    told = _ids(parts["in"], one, operations) if "in" in parts else ()
    if not one or at is None:
        return operations
    marked = tuple(_with_sign(row, resource, one, told, at, words) for row in operations)
    if marked == operations:
        place.fault("No row gives a sign: name rows that read one, or mark with destroys what ends one.")
    return marked


def _segments(place: Place) -> tuple[str, ...]:
    """The segments of the path of one instance; its id is the last of them."""
    template = place.text() or ""
    parts = tuple(PARAMETER if part.startswith("{") else part for part in template.split("/")[1:])
    if list(template_problems(template)) or not parts or parts[-1] != PARAMETER:
        place.fault(f"{template!r} is not the path of one: write a path that ends with its id, like /v1/things/{{id}}.")
        return ()
    return parts


def _ids(place: Place, one: tuple[str, ...], operations: Sequence[Operation]) -> tuple[str, ...]:
    known = {row.id: row for row in operations}
    found = []
    for item in place.items():
        name = item.text()
        if name is not None and name not in known:
            item.fault(f"{name!r} is not a row of this policy{near(name, known)}")
        elif name is not None and not _is_below(known[name], one):
            item.fault(f"{known[name]} is not at or below the path of one.")
        elif name is not None:
            found.append(name)
    return tuple(found)


def _is_below(row: Operation, one: tuple[str, ...]) -> bool:
    return row.segments[: len(one)] == one


def _with_sign(
    row: Operation, resource: str, one: tuple[str, ...], told: Sequence[str], at: JsonPath, words: tuple[str, ...]
) -> Operation:
    if row.id in told:
        return replace(row, sign=Sign(len(one), at, words))
    if row.destroys == resource and _is_below(row, one):
        return replace(row, sign=Sign(len(one)))
    return row
