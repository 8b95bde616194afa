"""What restrictions name, held against a policy: a type or operation that it does not have would restrict nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from keyscope.errors import Fault
from keyscope.model.restriction.calls import METHODS
from keyscope.model.restrictions import Restrictions

MOST_SHOWN = 12


def unknown_names(
    found: Restrictions, types: Collection[str], operations: Collection[str], path: str = "$.restrictions"
) -> Iterator[Fault]:
    """A fault for each resource type and operation that is not known."""
    for resource in found.instances.types if found.instances is not None else ():
        yield from _unless_known(resource, types, f"{path}.instances.{resource}", "resource type")
    for resource in (found.own.only or ()) if found.own is not None else ():
        yield from _unless_known(resource, types, f"{path}.own", "resource type")
    for name in found.deny.names if found.deny is not None else ():
        yield from _unless_known(name, (*operations, *METHODS), f"{path}.deny", "operation")
    for name in (found.hold.operations or ()) if found.hold is not None else ():
        yield from _unless_known(name, operations, f"{path}.hold.operations", "operation")


def _unless_known(name: str, known: Collection[str], path: str, what: str) -> Iterator[Fault]:
    if name in known:
        return
    close = get_close_matches(name, known, n=1)
    some = ", ".join(sorted(known)[:MOST_SHOWN]) if len(known) <= MOST_SHOWN else "GET /keyscope/operations lists them"
    yield Fault(path, f"{name!r} is no {what} of the policy; " + (f"did you mean {close[0]}?" if close else some))
