"""What a call reaches, by its policy: where path, body and reply show which things it is about."""

from __future__ import annotations

from functools import lru_cache

from msgspec import Struct

from keyscope.model.body import JsonPath
from keyscope.model.operation import Operation, Route


class Reach(Struct, frozen=True):
    """Of a route, all operations of a tie together.

    ``places`` are the segments of the path that hold an id, from 0, with its resource type; ``references`` the members
    of the body that name a thing, and ``referred`` their types. ``lists`` is the type that the reply lists and where
    the ids stand, if it does. ``creates`` are the types of what the call makes, ``destroys`` of what it ends.
    """

    places: tuple[tuple[int, str], ...] = ()
    references: tuple[tuple[JsonPath, str], ...] = ()
    referred: frozenset[str] = frozenset()
    lists: tuple[str, JsonPath] | None = None
    creates: frozenset[str] = frozenset()
    destroys: frozenset[str] = frozenset()


NOTHING = Reach()


@lru_cache(maxsize=4096)
def reach_of(route: Route | None) -> Reach:
    """The reach of a route; of a call that the policy does not list nothing is known."""
    if route is None:
        return NOTHING
    operations = route.operations
    references = tuple(dict.fromkeys(found for operation in operations for found in _references(operation)))
    lists = {operation.lists for operation in operations}
    return Reach(
        places=tuple(dict.fromkeys(place for operation in operations for place in operation.instances)),
        references=references,
        referred=frozenset(resource for _, resource in references),
        lists=lists.pop() if len(lists) == 1 else None,  # in a tie nobody knows whose reply it is
        creates=frozenset(operation.creates[0] for operation in operations if operation.creates),
        destroys=frozenset(operation.destroys for operation in operations if operation.destroys),
    )


def _references(operation: Operation) -> tuple[tuple[JsonPath, str], ...]:
    """What a condition on the body selects is a reference, too: of the type whose scope it calls for."""
    return (*((condition.when, condition.needs.resource) for condition in operation.body), *operation.refers)
